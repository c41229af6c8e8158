//! The README's table for those who come from another tool: each command of it runs as it is written, but for
//! the address of the broker.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use crate::broker::Mosquitto;
use crate::process::{BOUND, Process, piped};
use crate::program::Malaria;

/// The commands of the table, in its order.
fn commands() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let table = readme.split("### Coming from another tool").nth(1).expect("the section is there");
    let table = table.split("\n#").next().expect("splitting gives a part");
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| --- "));
    let commands: Vec<_> = rows.skip(1).filter_map(|row| row.rsplit('|').nth(1)?.split('`').nth(1)).collect();
    assert!(commands.len() >= 30, "rows without a command: {table}");
    commands
}

/// A folder with what the commands read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
    write("warhead.txt", "# first\n\nmalaria publish -n 2 -P 2 --stagger 0 -H %(malaria_target)s\nsleep 0\n");
    write("load.toml", "[publish]\nmsg_count = 5\ntopic = \"test\"\ndelay = \"0.1..0.2s\"\n");
    write("keys.txt", &(1..=11).map(|line| format!("user-{line}:00ff\n")).collect::<String>());
    folder
}

/// Starts `command` in a shell that finds our programs.
fn start(command: &str, broker: SocketAddr, folder: &Path) -> Process {
    let programs = Path::new(env!("CARGO_BIN_EXE_malaria")).parent().expect("a file is in a folder");
    let path = std::env::join_paths(
        std::iter::once(programs.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    // Lines of both outputs come in order.
    let line = format!("{} 2>&1", command.replace("broker.lab", &broker.to_string()));
    let mut shell = piped("/bin/sh");
    shell.args(["-c", &line]).current_dir(folder).env("PATH", path.expect("no colon in a folder of cargo's"));
    Process::spawn(&mut shell)
}

/// Ends within the bound, with code 0, or 6 on a machine that is busy with something else.
#[track_caller]
fn goes_well(command: &str, process: &mut Process) {
    let output = process.output().0;
    let code = process.wait().code();
    assert!(matches!(code, Some(0 | 6)), "`{command}` ends with {code:?}: {}", output.text());
}

/// Section 5: every row but those that need somebody else beside them.
#[test]
fn each_command_of_the_table_runs() {
    let Some(broker) = Mosquitto::start() else { return };
    let alone =
        |command: &&str| !command.starts_with("malaria subscribe -n") && !command.contains("--endless -T");
    let mut running: Vec<_> = commands()
        .into_iter()
        .filter(alone)
        .map(|command| {
            let folder = folder();
            (command, start(command, broker.address, folder.path()), folder)
        })
        .collect();
    for (command, process, _folder) in &mut running {
        goes_well(command, process);
    }
}

#[test]
fn the_subscriber_of_the_table_hears_its_publishers() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let commands = commands();
    let command = commands.iter().find(|command| command.starts_with("malaria subscribe -n 10 -N 4"));
    let command = command.expect("the row is there");
    let folder = folder();
    let mut listener = start(command, broker.address, folder.path());
    broker.wait_for(" 1 mqtt-malaria/+/data/#\n");
    Malaria::against(broker.address, "publish -t -n 10 -P 4 --stagger 0").run().went_well().published_all(40);
    goes_well(command, &mut listener);
}

#[test]
fn the_endless_publisher_of_the_table_ends_on_ctrl_c() {
    let Some(broker) = Mosquitto::start() else { return };
    let commands = commands();
    let command = commands.iter().find(|command| command.contains("--endless -T")).expect("the row is there");
    let folder = folder();
    let mut publisher = start(&format!("exec {command}"), broker.address, folder.path());
    let lines = publisher.lines();
    let deadline = Instant::now() + BOUND;
    while !lines.next(deadline).expect("it goes on").starts_with("Completed workers: 0/1") {}
    publisher.interrupt();
    assert_eq!(publisher.wait().code(), Some(130));
}
