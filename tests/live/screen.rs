//! A run on a terminal, which tmux has for us.

use std::path::PathBuf;
use std::process::Command;

use crate::process::find;
use crate::scrape::{need, until};

const LOAD: &str = "--embedded --cores 1 --clients 20 --rate 2k --warmup 0 --seed 7 --tui";

/// A terminal with a shell in it, on a server of its own.
struct Terminal {
    tmux: PathBuf,
    folder: tempfile::TempDir,
}

impl Terminal {
    /// `None` when tmux is not installed.
    fn open(width: u16, height: u16) -> Option<Terminal> {
        let tmux = need(find("tmux"), "tmux")?;
        let terminal = Terminal { tmux, folder: tempfile::tempdir().expect("a folder") };
        let size = [width.to_string(), height.to_string()];
        let shell = "env PS1=ready: sh";
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], shell]);
        until("a prompt", || terminal.screen().contains("ready:").then_some(()));
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(self.folder.path().join("socket")).args(words).env_remove("TMUX");
        let output = command.output().expect("tmux runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    fn start(&self, flags: &str) {
        let malaria = env!("CARGO_BIN_EXE_malaria-bench");
        self.type_line(&format!(
            "clear; {malaria} {LOAD} {flags}; stty -a | grep -o ' echo '; echo \"ended:\" $?"
        ));
    }

    fn state(&self) -> String {
        self.tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"])
    }

    /// Waits until the program has ended, and holds that the terminal is what it was.
    fn is_clean(&self) -> String {
        let screen = until("the end", || Some(self.screen()).filter(|screen| screen.contains("ended: 0")));
        assert_eq!(self.state().trim(), "0 1", "the cursor and the lines of before are there:\n{screen}");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.folder.path().join("socket");
        let _ = Command::new(&self.tmux).arg("-S").arg(socket).arg("kill-server").output();
    }
}

#[test]
fn a_run_is_seen_and_the_summary_is_left() {
    let Some(terminal) = Terminal::open(100, 50) else { return };
    terminal.start("--duration 3s --require 'delivered > 1/s' --require 'cpu < 100%' --require 'lost == 0'");
    let whole = [
        "measure",
        "s left",
        "20/20",
        "offered ",
        "flight",
        "p50",
        "CPU",
        "bound      delivered > 1/s: ",
        "0.00/s",
        "cpu < 100%: not known yet",
        "lost == 0: 0",
    ];
    // A look may come while rows are being moved.
    until("a second with latencies, and bounds that hold", || {
        let screen = terminal.screen();
        whole.iter().all(|what| screen.contains(what)).then_some(())
    });
    assert_eq!(terminal.state().trim(), "1 0", "a screen of its own, without a cursor");
    // What is typed does not show, and is not for the shell behind.
    terminal.tmux(&["send-keys", "-l", "xyzzy"]);
    let left = terminal.is_clean();
    assert!(left.contains("latency") && left.contains("delivery"), "{left}");
    assert!(!left.contains("xyzzy"), "{left}");
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let Some(terminal) = Terminal::open(100, 50) else { return };
    terminal.start("--duration 1h");
    until("a second", || terminal.screen().contains("worker 0").then_some(()));
    terminal.tmux(&["send-keys", "C-c"]);
    let left = terminal.is_clean();
    assert!(left.contains("interrupted"), "{left}");
}

#[test]
fn a_terminal_may_become_tiny_and_large_again() {
    let Some(terminal) = Terminal::open(100, 40) else { return };
    terminal.start("--duration 1h");
    until("a second", || terminal.screen().contains("worker 0").then_some(()));
    for (width, height) in [("12", "3"), ("1", "1"), ("100", "40")] {
        terminal.tmux(&["resize-window", "-x", width, "-y", height]);
        let size = format!("{width} {height}");
        until("the size", || {
            (terminal.tmux(&["display", "-p", "#{pane_width} #{pane_height}"]).trim() == size).then_some(())
        });
    }
    until("the whole again", || terminal.screen().contains("worker 0").then_some(()));
    terminal.tmux(&["send-keys", "C-c"]);
    terminal.is_clean();
}

/// Where there is no terminal it is said before anything begins.
#[test]
fn a_screen_needs_a_terminal() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_malaria-bench"));
    let output = command.args(LOAD.split_whitespace()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--tui"), "{output:?}");
}
