use super::*;
use crate::cli::args::{Cli, Command as Chosen, Malaria, MalariaCommand, PublishArgs, RunArgs};
use clap::{CommandFactory, FromArgMatches};

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn read<C: CommandFactory + FromArgMatches>(line: &str) -> Result<C, String> {
    let words = line.split_whitespace().map(OsString::from).collect();
    let matches = parse(C::command(), words).map_err(|error| error.to_string())?;
    C::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn publish(text: &str, flags: &str) -> Result<Box<PublishArgs>, String> {
    let file = file(text);
    let line = format!("malaria publish --config {} {flags}", file.path().display());
    read::<Malaria>(&line).map(|malaria| match malaria.command {
        MalariaCommand::Publish(args) => args,
        _ => panic!("publish was asked for"),
    })
}

fn bench(text: &str, flags: &str) -> Result<RunArgs, String> {
    let file = file(text);
    read::<Cli>(&format!("malaria-bench --config {} {flags}", file.path().display())).map(|cli| cli.run)
}

/// checklist 12: options from a file, in either spelling.
#[test]
fn keys_are_the_names_of_flags() {
    let args = publish(
        "host = [\"a\", \"b:1884\"]\nmsg-count = 0x10\nmsgs_per_second = 0.066\nretain = true\nbridge = false\n\
         clean_session = false\nstagger = \"0..2s\"\nsteps = [\"+1@1s\", \"-1@2s\"]\nramp = 50\n",
        "",
    )
    .unwrap();
    assert_eq!(args.connection.host.len(), 2);
    assert_eq!(args.connection.host[1].to_string(), "b:1884");
    assert_eq!((args.msg_count, args.retain, args.bridge), (Some(16), true, false));
    assert_eq!(args.msgs_per_second.0.map(|rate| rate.per_second()), Some(0.066));
    assert!(!args.connection.clean_session);
    assert_eq!(args.steps.len(), 2);
    assert_eq!(args.connection.connect_rate.map(|rate| rate.per_second()), Some(50.0));
}

/// checklist 12: overridable on the command line, also by a flag that excludes the one in the file.
#[test]
fn the_command_line_wins() {
    let args =
        publish("qos = 2\nprocesses = 7\nmsg_count = 5\nhost = \"file\"", "-q 0 --endless -H here").unwrap();
    assert_eq!((args.qos, args.processes, args.msg_count, args.endless), (0, 7, None, true));
    assert_eq!(args.connection.host[0].to_string(), "here");
    assert_eq!(args.connection.host.len(), 1);
}

#[test]
fn a_table_goes_before_the_top_and_holds_for_its_command_only() {
    let text = "qos = 2\nmsg_count = 5\n[publish]\nmsg_count = 6\n[subscribe]\nqos = 0\nclient_count = 9\n";
    let args = publish(text, "").unwrap();
    assert_eq!((args.qos, args.msg_count), (2, Some(6)));
}

/// checklist 12: the main job, too.
#[test]
fn the_main_job_reads_the_top() {
    let text =
        "clients = 40\ntopology = \"fan-in\"\nduration = 3\nembedded = true\n[publish]\nprocesses = 3\n";
    let args = bench(text, "--clients 50").unwrap();
    assert_eq!((args.clients, args.embedded, args.duration.to_string()), (Some(50), true, "3s".to_owned()));
    let text = "credentials = \"users\"\nwill-topic = \"gone\"\nwill_payload = \"bye\"\nretain = true\nprotocol = 3.1\n\
                reconnect_attempts = 5\nclients = \"2k\"\njson = \"out\"\n";
    let args = bench(text, "--will-payload tata").unwrap();
    assert_eq!(args.connection.credentials.as_deref(), Some(Path::new("users")));
    let will = &args.connection.will;
    assert_eq!((will.will_topic.as_deref(), will.will_payload.as_deref()), (Some("gone"), Some("tata")));
    assert_eq!((args.connection.reconnect_attempts, args.clients, args.retain), (Some(5), Some(2000), true));
    assert_eq!(args.output.json.as_deref(), Some(Path::new("out")));
    let error = bench("will_payload = \"bye\"\nqos = 3\n", "").err().expect("no QoS");
    assert!(error.contains("line 2"), "{error}");
    let file = file("port = 1999\n[reflector]\nquiet = true\n");
    let cli: Cli = read(&format!("malaria-bench reflector --config {}", file.path().display())).unwrap();
    assert!(matches!(cli.command, Some(Chosen::Reflector(args)) if args.port == 1999 && args.quiet));
}

/// A key that the command does not have would do nothing: it is told, with the table that it belongs into.
#[test]
fn keys_of_other_commands_are_told() {
    for (text, parts) in [
        ("qos = 2\nprint = true\n", &["line 2", "`print`", "publish", "[subscribe]"][..]),
        ("[subscribe]\nprint = true\n[watch]\nclients = 3\n", &["line 4", "`clients`", "flag"]),
    ] {
        let error = publish(text, "").err().unwrap_or_else(|| panic!("{text:?} is accepted"));
        assert!(parts.iter().all(|part| error.contains(part)), "{text:?}: {error}");
    }
    let error = bench("qos = 2\nprocesses = 3\n", "").err().expect("it is a flag of publish");
    let parts = ["line 2", "`processes`", "malaria-bench", "[publish]"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

/// So that one file serves the main job, too.
#[test]
fn the_main_job_has_a_table() {
    let text = "qos = 2\n[malaria-bench]\nclients = 40\n[publish]\nprocesses = 3\n";
    let args = bench(text, "").unwrap();
    assert_eq!((args.clients, args.qos), (Some(40), 2));
    let file = file(text);
    let line = format!("malaria-bench publish --config {}", file.path().display());
    match read::<Cli>(&line).unwrap().command {
        Some(Chosen::Malaria(MalariaCommand::Publish(args))) => assert_eq!(args.processes, 3),
        _ => panic!("publish was asked for"),
    }
}

/// And both programs.
#[test]
fn tables_of_the_other_program_are_passed_over() {
    let args = publish("qos = 2\n[malaria-bench]\nclients = 40\n[reflector]\nquiet = true\n", "").unwrap();
    assert_eq!(args.qos, 2);
}

/// checklist 12, bad input: each error is one line that names the file's line.
#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, parts) in [
        ("qos = 1\nspeed = 3\n", &["line 2", "`speed`", "flag"][..]),
        ("[fly]\nqos = 1\n", &["line 1", "`fly`", "command"]),
        ("\n[publish]\nclient_count = 1\n", &["line 3", "`client_count`"]),
        ("qos = 1\nmsg_count = true\n", &["line 2", "msg_count"]),
        ("clientid = 5\n", &["line 1", "clientid", "quotes"]),
        ("retain = 1\n", &["line 1", "retain", "true or false"]),
        ("clean-session = 1\n", &["line 1", "clean-session", "true or false"]),
        ("qos = [1]\n", &["line 1", "qos"]),
        ("qos = 1979-05-27\n", &["line 1", "qos"]),
        ("retain = true\nqos = 3\n", &["line 2", "3", "0, 1 or 2"]),
        ("topic = \"a/#\"\n", &["line 1", "plain topics"]),
        ("qos = 1\nqos = \n", &["line 2"]),
        ("config = \"other\"\n", &["line 1", "`config`"]),
        ("endless = true\nmsg_count = 3\n", &["--config", "cannot be used with"]),
    ] {
        let error = publish(text, "").err().unwrap_or_else(|| panic!("{text:?} is accepted"));
        assert!(parts.iter().all(|part| error.contains(part)), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = read::<Malaria>("malaria publish --config /nowhere/at/all").err().unwrap();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
