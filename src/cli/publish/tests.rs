use super::*;
use crate::cli::args::{Malaria, MalariaCommand};
use crate::clock::{MILLISECOND, Nanos, SECOND};
use crate::load::PayloadStamp;
use crate::wire::QoS;
use clap::{CommandFactory, Parser};

/// The flags of `line`, as `malaria publish` takes them.
pub fn args(line: &str) -> Result<PublishArgs, String> {
    let words = line.split_whitespace().map(Into::into);
    let words = ["malaria".into(), "publish".into()].into_iter().chain(words).collect();
    let matches = crate::cli::config::parse(Malaria::command(), words).map_err(|error| error.to_string())?;
    let malaria = <Malaria as clap::FromArgMatches>::from_arg_matches(&matches).map_err(|e| e.to_string())?;
    match malaria.command {
        MalariaCommand::Publish(args) => Ok(*args),
        _ => Err("another command".into()),
    }
}

fn planned(line: &str) -> Result<Plan, String> {
    plan(&args(line)?, "lab", 7).map_err(|error| error.to_string())
}

fn pace(line: &str) -> Pace {
    planned(line).unwrap().pacing.pace
}

/// checklist 2 and 5: malaria's defaults, and its client ids and topics.
#[test]
fn defaults_are_those_of_malaria() {
    let args = args("").unwrap();
    assert_eq!((args.connection.host[0].to_string().as_str(), args.connection.port), ("localhost", None));
    assert_eq!((args.qos, args.processes, args.thread_ratio), (1, 1, 1));
    assert_eq!((args.payload.msg_size.bytes(), args.payload.timing, args.jitter.0), (100, false, 0.1));
    assert!(!args.bridge && args.connection.transport.psk_file.is_none() && args.output.json.is_none());
    assert_eq!((args.inflight, args.retain), (200, false));
    assert_eq!(args.connection.keepalive.nanos(), 60 * SECOND);
    assert!(args.connection.clean_session);
    // checklist 17: malaria's start, 1 to 10 seconds
    assert_eq!((args.stagger.min, args.stagger.max), (SECOND, 10 * SECOND));
    let plan = planned("").unwrap();
    let client = format!("beem-loadr-lab-{}-0", std::process::id());
    assert_eq!(plan.clients[0].client_id, client);
    assert_eq!(
        plan.pacing,
        Pacing { pace: Pace::Unlimited, jitter: 0.1, count: Some(10), duration: None, seed: 7 }
    );
    let topic = topic_of(&args.topic, &client, 3);
    assert_eq!(topic, format!("mqtt-malaria/{client}/data/3/{}", u64::MAX));
}

/// Issue section 4: default ids are one level of a topic for every broker; what is typed stays.
#[test]
fn default_ids_are_safe() {
    let ids = |line: &str| -> Vec<String> {
        let plan = plan(&args(line).unwrap(), "bench.lab_1.example.org", 7).unwrap();
        let publishing = plan.clients.iter().flat_map(|name| [name.client_id.clone(), name.topic_id.clone()]);
        publishing.chain(plan.listening.iter().map(|listening| listening.client_id.clone())).collect()
    };
    for line in ["-P 2 --self-check", "-b", "-P 2 --thread_ratio 2", "-b --short-ids --id-suffix 3"] {
        for id in ids(line) {
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{line}: {id}");
        }
    }
    assert_eq!(ids("-c a.b_c"), ["a.b_c-0", "a.b_c-0"]);
    assert_eq!(ids("-c a.b --thread_ratio 2")[1], "a.b_0_0", "as malaria numbers them");
}

/// Issue section 1: counts, rates and names of flags are those of the other commands.
#[test]
fn values_mean_what_they_mean_elsewhere() {
    let given = args("--clients 1.5k -n 2M --inflight 1k --reconnect-every 10k --size 4KiB").unwrap();
    assert_eq!((given.processes, given.msg_count, given.inflight), (1500, Some(2_000_000), 1000));
    assert_eq!(given.reconnect_every, Some(10_000));
    assert_eq!(given.payload.size_of, args("--size-of 4KiB").unwrap().payload.size_of);
    assert_eq!(args("-P 200k").unwrap().processes, 200_000);
    for (line, parts) in [
        ("-p 0", &["0"][..]),
        ("--tolerance 20s", &["--tolerance 20s", "200ms"]),
        ("--duration 50ms --tolerance 60ms", &["--tolerance 60ms", "--duration 50ms"]),
        ("--will-qos 1", &["--will-topic"]),
        ("-k 100000s", &["65535"]),
    ] {
        let error = planned(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
        assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
    }
}

/// checklist 2: every flag of malaria's, long and short, in malaria's spelling and with hyphens.
#[test]
fn malarias_flags_are_taken() {
    let long = "--clientid bee --host h --port 1884 --qos 2 --msg_count 5 --msg_size 50 --timing \
                --msgs_per_second 0.066 --jitter 0 --processes 3 --thread_ratio 1 --bridge --json -";
    let hyphens = long.replace('_', "-");
    let short = "-c bee -H h -p 1884 -q 2 -n 5 -s 50 -t -T 0.066 --jitter 0 -P 3 -b --json -";
    for line in [long, &hyphens, short] {
        let args = args(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(args.clientid.as_deref(), Some("bee"));
        assert_eq!((args.connection.host[0].to_string().as_str(), args.connection.port), ("h", Some(1884)));
        assert_eq!((args.qos, args.msg_count, args.payload.msg_size.bytes()), (2, Some(5), 50));
        assert_eq!(content::stamp(&args.payload), PayloadStamp::Malaria);
        assert_eq!((args.jitter.0, args.processes, args.bridge), (0.0, 3, true));
        assert_eq!(args.output.json.as_deref(), Some(std::path::Path::new("-")));
        assert_eq!(pacing(&args, 3, 0).pace, Pace::Rate { per_s: 0.066 });
    }
}

/// The examples of malaria's README, as they stand there.
#[test]
fn the_old_readmes_lines_are_taken() {
    for line in ["-P 8 -n 10000 -H mqtt.example.org -s 100", "-t -n 1000 -P 500 -T 5", "-t -n 100 -P 4"] {
        let clients = planned(line).unwrap_or_else(|error| panic!("{line}: {error}")).clients;
        assert!([8, 500, 4].contains(&clients.len()), "{line}");
    }
}

/// checklist 4: every flag with its default.
#[test]
fn the_help_shows_every_flag_with_its_default() {
    let shows = |command: &mut clap::Command| {
        let help = command.render_long_help().to_string();
        let name = command.get_name();
        for arg in command.get_arguments() {
            let long = arg.get_long().unwrap();
            assert!(help.contains(&format!("--{long}")), "{name} --{long}");
            let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let said = !arg.get_default_values().is_empty() && arg.get_action().takes_values()
                || text.contains("[default: ");
            assert!(said || ["help", "version"].contains(&long), "{name} --{long} has no default: {text}");
        }
    };
    let mut command = Malaria::command();
    command.build();
    for name in ["publish", "subscribe", "watch", "keygen"] {
        shows(command.find_subcommand_mut(name).unwrap());
    }
    let mut command = crate::cli::args::Cli::command();
    command.build();
    shows(&mut command);
}

/// checklist 13: a number of messages, a time, both, or neither.
#[test]
fn a_count_a_time_or_a_signal_ends_it() {
    let end = |line: &str| {
        let pacing = planned(line).unwrap().pacing;
        (pacing.count, pacing.duration)
    };
    assert_eq!(end("-n 5"), (Some(5), None));
    assert_eq!(end("--duration 3s"), (None, Some(3 * SECOND)));
    assert_eq!(end("-n 5 --duration 3s"), (Some(5), Some(3 * SECOND)));
    assert_eq!(end("--endless"), (None, None));
}

/// checklist 14, 16 and 19, as far as the command line goes
#[test]
fn paces_are_per_client() {
    assert_eq!(pace("-T 5"), Pace::Rate { per_s: 5.0 });
    assert_eq!(pace("-P 4 --rate 100"), Pace::Rate { per_s: 25.0 });
    assert_eq!(pace("-P 4 --rate 100 -T 5"), Pace::Rate { per_s: 5.0 }, "the lower one holds");
    assert_eq!(pace("-P 4 --rate 4 -T 5"), Pace::Rate { per_s: 1.0 });
    assert_eq!(pace("--delay 0.5..1.5s"), Pace::Delay { min: SECOND / 2, max: 3 * SECOND / 2 });
    assert_eq!(pace("-T max"), Pace::Unlimited);
    assert_eq!(pace("--rate max"), Pace::Unlimited);
    assert_eq!(pace("--rate max -T 5"), Pace::Rate { per_s: 5.0 });
    let burst = Pace::Burst { slow_per_s: 0.0, fast_per_s: 500.0, length: SECOND, period: 30 * SECOND };
    assert_eq!(pace("--burst 0,500,1s,30s"), burst);
}

/// checklist 48: hears its own topics, and how to read them where they say it.
#[test]
fn the_self_check_listens_to_what_is_published() {
    let listener = |line: &str| planned(&format!("--self-check {line}")).unwrap().listening.remove(0);
    let own = listener("-t -c bee --grace 2s --slow 10,5ms -q 2");
    assert_eq!(
        (own.client_id.as_str(), own.filters[0].as_str()),
        ("bee-listener", "mqtt-malaria/+/data/+/+")
    );
    assert_eq!(own.layout.map(|layout| layout.read("a/b/c/4/5")), Some(Some(("b", 4))));
    assert_eq!((own.stamp, own.expect), (PayloadStamp::Malaria, Expect::Published));
    assert_eq!((own.quiet_after, own.qos), (Some(2 * SECOND), QoS::ExactlyOnce));
    assert_eq!(own.slow, Some(Slow { every: 10, pause: 5 * MILLISECOND }));
    assert_eq!(listener("--topic home/%c/[on,off]").layout, None, "`on` is no number");
    assert_eq!(listener("--topic home/%c/<1,2>").layout, None, "1 and 2 in turn are no numbers of messages");
    assert_eq!(listener("--topic fixed").layout, None);
    assert!(listener("--topic fixed --backlog").backlog);
    assert!(planned("").unwrap().listening.is_empty());
}

/// checklist 32: too few keys is a clear error, and so is a key that is none.
#[test]
fn key_files_are_checked() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a:00ff\nb:11\n").unwrap();
    let connected = |line: &str, clients: u32| {
        let args = args(&format!("{line} -P {clients} --psk_file {}", file.path().display())).unwrap();
        let mut plan = plan(&args, "host", 7)?;
        let connection = connect(&args, &plan, clients as usize)?;
        plan.name(&args, &connection.identities)?;
        let names = plan.clients.into_iter().map(|client| (client.client_id, client.topic_id));
        Ok::<_, Usage>((names.collect::<Vec<_>>(), connection.transport.is_some()))
    };
    let few = connected("-b", 3).unwrap_err().to_string();
    assert!(few.contains("2 keys") && few.contains("3 clients"), "{few}");
    let pair = |client: &str, topic: &str| (client.to_owned(), topic.to_owned());
    let names = |line: &str| connected(line, 2).map(|(names, _)| names).map_err(|error| error.to_string());
    match cfg!(feature = "psk") {
        true => {
            assert_eq!(connected("", 2).unwrap(), (vec![pair("a", "a"), pair("b", "b")], true));
            assert_eq!(names("-b").unwrap()[1], pair("mal-bridge-b", "b"));
            assert_eq!(names("-c bee").unwrap()[1], pair("bee-1", "b"), "as of old");
        }
        false => {
            let lacks = names("-b").unwrap_err();
            assert!(lacks.contains("libssl-dev") && lacks.contains("--features psk"), "{lacks}");
        }
    }
    std::fs::write(file.path(), "a:00ff\nb:xyz\n").unwrap();
    assert!(connected("-b", 2).unwrap_err().to_string().contains("line 2"));
    std::fs::write(file.path(), "a:00f\nb:00\n").unwrap();
    let odd = connected("", 2).unwrap_err().to_string();
    assert!(odd.contains("line 1: a PSK has 1 to 256 bytes") && odd.contains("3 digits"), "{odd}");
}

/// Issue section 4: bad input, each a one-line error.
#[test]
fn bad_input_is_named_in_one_line() {
    for (line, parts) in [
        ("-n 0", &["0"][..]),
        ("-n -5", &["-5"]),
        ("-s -1", &["`-1`"]),
        ("-s 1.5", &["`1.5`"]),
        ("-s 4k", &["ambiguous"]),
        ("-q 3", &["3", "0..=2"]),
        ("-P 0", &["0"]),
        ("-P -1", &["-1"]),
        ("-T -1", &["`-1`"]),
        ("-T fast", &["`fast`"]),
        ("--jitter 2", &["`2`"]),
        ("--topic a/%x", &["`%x`"]),
        ("--topic a/#", &["plain topics"]),
        ("--topic a/+/b", &["plain topics"]),
        ("-c a+b", &["--topic", "+"]),
        ("--inflight 0", &["0"]),
        ("--inflight 70000", &["70000"]),
        ("--stagger 10..1s", &["10..1s"]),
        ("--steps 5", &["`5`"]),
        ("--steps -2@1s", &["cannot leave"]),
        ("--burst 1,2,3", &["`1,2,3`"]),
        ("--slow 5,1s", &["--self-check"]),
        ("--backlog", &["--self-check"]),
        ("--self-check --backlog -q 0", &["QoS 0"]),
        ("--endless -n 5", &["cannot be used with"]),
        ("--rate 5 --burst 1,2,1s,2s", &["cannot be used with"]),
        ("-T 5 --delay 1s", &["cannot be used with"]),
        ("--round-trip --self-check", &["cannot be used with"]),
        ("-s 5 --size-of 5", &["cannot be used with"]),
        ("-t --stamp ms", &["cannot be used with"]),
        ("--payload-from x -t", &["cannot be used with"]),
        ("--size-of many", &["many"]),
        ("--size-of 300MB", &["300000000"]),
        ("--body stones", &["stones"]),
        ("--stamp rubber", &["rubber"]),
        ("--encoding rot13", &["rot13"]),
        ("--clean-session false", &["--clientid"]),
        ("--ack-timeout 0", &["--ack-timeout 0"]),
        ("--duration 0", &["--duration 0"]),
        ("--speed 5", &["--speed"]),
    ] {
        let error = planned(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
        assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
    }
    let error = Malaria::try_parse_from(["malaria", "publish", "-q", "3"]).err().unwrap();
    assert_eq!(crate::cli::config::one_line(&error).lines().count(), 1);
}

/// Issue section 4: absurd sizes, and files that cannot be read.
#[test]
fn payloads_that_cannot_be_made_are_usage_errors() {
    for (line, part) in [
        ("-s 1GiB", "1073741824"),
        ("--size-of 200MB --encoding hex", "200000000"),
        ("--body file:/nowhere/at/all", "/nowhere/at/all"),
        ("--body lines:/nowhere/at/all", "/nowhere/at/all"),
    ] {
        let error = content::content(&args(line).unwrap().payload, 1).err().unwrap();
        assert!(error.is::<Usage>(), "{error}");
        assert!(error.to_string().contains(part), "{line}: {error}");
    }
    for line in ["", "-s 0", "-s 19", "-s 256KiB", "--size-of uniform:1..9 --stamp ms --encoding base64"] {
        assert!(content::content(&args(line).unwrap().payload, 1).is_ok(), "{line}");
    }
}

#[test]
fn the_progress_counts_clients_that_are_done() {
    let mut progress = Progress { clients: 4, ..Progress::default() };
    progress.levels.done = 3;
    assert_eq!(progress_line(&progress, &Windows::default()), "Completed workers: 3/4");
    progress.levels.failed = 1;
    assert_eq!(progress_line(&progress, &Windows::default()), "Completed workers: 2/4, 1 failed");
}

/// The times of `line` reach the fleet as they are.
#[test]
fn times_and_counts_are_passed_on() {
    let args = args(
        "--ack-timeout 3s --tolerance 5ms --reconnect-every 100 --stagger 0 --round-trip --responders 3 --retain",
    )
    .unwrap();
    let plan = plan(&args, "lab", 1).unwrap();
    let content = content::content(&args.payload, 1).unwrap();
    let publishing = publishing(&args, plan.clients, plan.pacing, content);
    let times: [Nanos; 2] = [publishing.ack_timeout, publishing.tolerance];
    assert_eq!(times, [3 * SECOND, 5 * MILLISECOND]);
    assert_eq!((publishing.reconnect_every, publishing.stagger), (Some(100), (0, 0)));
    assert_eq!((publishing.responders, publishing.retain, publishing.bridge), (3, true, false));
}
