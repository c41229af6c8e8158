use super::*;
use crate::cli::args::Cli;
use clap::Parser;

fn planned(line: &str) -> Result<Plan, String> {
    let words = std::iter::once("malaria-bench").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let cores = cores(cli.run.connection.cores, &[0, 1, 2, 3], Broker::Away);
    plan(&cli.run, &cores, 7, "lab").map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_the_help() {
    let plan = planned("").unwrap();
    assert_eq!((plan.clients, plan.publishers, plan.subscribers), (1000, 500, 500));
    assert_eq!(
        plan.schedule,
        Schedule::Open { rate_per_s: 500.0, arrival: Arrival::Constant, inflight: 65_535 }
    );
    assert_eq!((plan.qos, plan.sub_qos, plan.size_bytes), (1, 1, 100));
    assert_eq!(
        (plan.warmup_ns, plan.duration_ns, plan.drain_ns),
        (2 * SECOND, Some(10 * SECOND), 5 * SECOND)
    );
    assert_eq!((plan.connect_timeout_ns, plan.ack_timeout_ns), (10 * SECOND, 30 * SECOND));
    assert_eq!((plan.keepalive_ns, plan.clean_session, plan.reconnect), (60 * SECOND, true, true));
    assert_eq!(plan.client_id_prefix, format!("malaria-lab-{}", std::process::id()));
    assert_eq!((plan.topic_template.as_str(), plan.backlog_ns), ("bench/%p", SECOND));
    assert_eq!(plan.cores_used, 4);
}

#[test]
fn rates_are_total_or_per_publisher() {
    let rate = |line: &str| planned(line).unwrap().schedule;
    let open = |rate_per_s, arrival| Schedule::Open { rate_per_s, arrival, inflight: 65_535 };
    assert_eq!(rate("--rate 50k"), open(50_000.0, Arrival::Constant));
    assert_eq!(rate("-T 0.25 --clients 200"), open(25.0, Arrival::Constant));
    assert_eq!(rate("--rate 1.5M --arrival poisson"), open(1_500_000.0, Arrival::Poisson));
    assert_eq!(rate("--rate max"), Schedule::Closed { inflight: 1 });
    assert_eq!(rate("--rate max --inflight 8"), Schedule::Closed { inflight: 8 });
    assert_eq!(rate("--topology idle"), Schedule::None);
    assert_eq!(rate("-T 0"), Schedule::Closed { inflight: 1 }, "as `publish -T 0`");
    assert_eq!(rate("-T max"), Schedule::Closed { inflight: 1 });
    assert_eq!(rate("--rate 100 -T 5"), open(100.0, Arrival::Constant), "the lower one holds");
    assert_eq!(rate("--rate 50k -T 5"), open(2500.0, Arrival::Constant));
    assert_eq!(rate("--rate max -T 5"), open(2500.0, Arrival::Constant));
}

#[test]
fn a_schedule_is_as_long_as_its_pieces_are() {
    let schedule = "--schedule line(0,50k,30s)const(50k,2m)";
    let plan = planned(schedule).unwrap();
    assert_eq!((plan.warmup_ns, plan.duration_ns), (0, Some(150 * SECOND)));
    assert_eq!(plan.profile.as_deref(), Some("line(0,50k,30s)const(50k,2m)"));
    let rate = |plan: &Plan| match plan.schedule {
        Schedule::Open { rate_per_s, .. } => rate_per_s,
        _ => panic!("{:?}", plan.schedule),
    };
    assert_eq!(rate(&plan), 45_000.0, "6,750,000 messages in 150 seconds");
    let plan = planned(&format!("{schedule} --warmup 30s --scale 0.01 --arrival poisson")).unwrap();
    assert_eq!((plan.warmup_ns, plan.duration_ns, plan.clients), (30 * SECOND, Some(120 * SECOND), 10));
    assert_eq!((rate(&plan), plan.profile.as_deref()), (500.0, Some("line(0,500,30s) const(500,2m)")));
    for flags in ["--rate 5", "-T 5", "--duration 5s", "-n 5", "--warmup 150s", "--warmup 3m"] {
        assert!(planned(&format!("{schedule} {flags}")).is_err(), "{flags}");
    }
    assert_eq!(planned(&format!("{schedule} --topology idle")).unwrap().profile, None);
}

#[test]
fn only_who_is_there_can_leave() {
    let plan = planned("--clients 30 --publishers 10 --subscribers 10 --stay 2s --away idle,1s,1s").unwrap();
    assert_eq!((plan.stay_ns, plan.absences.len()), (Some(2 * SECOND), 1));
    let flap = planned("--clients 20 --flap 2s,500ms").unwrap().flap.expect("they do");
    assert_eq!((flap.every_ns, flap.for_ns), (2 * SECOND, SECOND / 2));
    assert_eq!(planned("--topology idle --stay 500ms").unwrap().stay_ns, Some(SECOND / 2));
    for line in [
        "--stay 2s",
        "--topology idle --stay 0",
        "--topology idle --away subscribers,0,1s",
        "--away idle,0,1s",
        "--away all,0,1s --reconnect false",
        "--topology idle --flap 1s",
        "--topology publish --flap 1s",
    ] {
        assert!(planned(line).is_err(), "{line}");
    }
}

#[test]
fn subscriptions_are_shared_in_one_group_unless_more_are_asked_for() {
    let asked = |line: &str| planned(line).map(|plan| (plan.groups, plan.share, plan.filters));
    assert_eq!(asked(""), Ok((None, None, vec![])));
    assert_eq!(asked("--share perf --filter t/#"), Ok((Some(1), Some("perf".into()), vec!["t/#".into()])));
    let several = asked("--share perf --groups 200 --scale 0.1 --filter a/%p/+ --filter b/%p");
    assert_eq!(several, Ok((Some(20), Some("perf".into()), vec!["a/%p/+".into(), "b/%p".into()])));
    for line in ["--share a/b", "--share +", "--filter a/#/b", "--topology publish --share a", "--groups 0"] {
        assert!(planned(line).is_err(), "{line}");
    }
}

#[test]
fn a_scale_is_of_clients_and_of_rates() {
    let line = "--publishers 1000 --subscribers 500 --rate 20k --connect-rate 5k";
    let plan = planned(&format!("{line} --scale 0.1")).unwrap();
    assert_eq!((plan.publishers, plan.subscribers, plan.clients), (100, 50, 150));
    let Schedule::Open { rate_per_s, .. } = plan.schedule else { panic!("{:?}", plan.schedule) };
    assert_eq!((rate_per_s, plan.connect_rate_per_s), (2000.0, Some(500.0)));
    let plan = planned("--clients 1k --topology fan-out -T 50 --scale 0.01").unwrap();
    assert_eq!((plan.publishers, plan.subscribers), (1, 9));
    assert!(matches!(plan.schedule, Schedule::Open { rate_per_s: 50.0, .. }), "each is as busy as before");
    assert_eq!(planned("--scale 0.5").unwrap().clients, 500, "also of what was not said");
}

#[test]
fn probes_are_beside_the_clients_and_on_another_cpu_where_there_is_one() {
    let probes = |line: &str| planned(line).map(|plan| (plan.clients, plan.probes));
    assert_eq!((probes(""), probes("--probes 7")), (Ok((1000, 0)), Ok((1000, 7))));
    for line in ["--probes 0", "--probes 101", "--probes 5 -n 10"] {
        assert!(probes(line).is_err(), "{line}");
    }
    for (asked, allowed, broker, cpu) in [
        (None, &[3, 5][..], Broker::Here, 5),
        (None, &[3, 5], Broker::Away, 5),
        (Some(1), &[3, 5], Broker::Away, 5),
        (None, &[3, 5, 7], Broker::Embedded, 7),
        (None, &[3], Broker::Embedded, 3),
    ] {
        assert_eq!(cores(asked, allowed, broker).probes, cpu, "{asked:?} of {allowed:?}, {broker:?}");
    }
}

/// R5: a closed loop is asked less by a slow broker; what it measures is bounded by its own name.
#[test]
fn r05_a_bound_on_response_times_needs_a_schedule() {
    let cores = cores(None, &[0], Broker::Away);
    let planned = |rate: &str, bound: &str| {
        let words = ["malaria-bench", "--rate", rate, "--require", bound];
        let run = Cli::try_parse_from(words).unwrap().run;
        plan(&run, &cores, 7, "lab").map(|_| ()).map_err(|error| error.to_string())
    };
    for (bound, service) in [("ack p99 < 5ms", "ack-service"), ("flight max < 5ms", "flight-service")] {
        let error = planned("max", bound).unwrap_err();
        assert!(error.contains("closed loop") && error.contains(service), "{error}");
        assert_eq!(planned("10k", bound), Ok(()));
    }
    for bound in ["ack-service p99 < 5ms", "flight-service max < 5ms", "lost == 0", "connack p99 < 1s"] {
        assert_eq!(planned("max", bound), Ok(()));
    }
}

/// Issue section 4: `--tolerance 20s` made a run of 20 s and blamed the broker.
#[test]
fn the_tolerance_has_a_bound() {
    let tolerance = |line: &str| planned(line).map(|plan| plan.tolerance_ns);
    assert_eq!(tolerance("--tolerance 200ms"), Ok(200 * MILLISECOND));
    assert_eq!(tolerance("--tolerance 0"), Ok(0));
    assert_eq!(tolerance("-n 5 --tolerance 200ms"), Ok(200 * MILLISECOND), "no duration to compare with");
    for (line, parts) in [
        ("--tolerance 20s", ["--tolerance 20s", "200ms"]),
        ("--tolerance 200.001ms", ["--tolerance 200.001ms", "200ms"]),
        ("-n 5 --tolerance 1s", ["--tolerance 1s", "200ms"]),
        ("--duration 50ms --tolerance 60ms", ["--tolerance 60ms", "--duration 50ms"]),
    ] {
        let error = tolerance(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
        assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
    }
}

/// Issue section 4: there are as many clients as have a part, and ids are safe.
#[test]
fn parts_say_how_many_clients_there_are() {
    let clients = |line: &str| planned(line).map(|plan| (plan.clients, plan.publishers, plan.subscribers));
    assert_eq!(clients("--publishers 3 --subscribers 3"), Ok((6, 3, 3)));
    assert_eq!(clients("--topology fan-in --publishers 3"), Ok((4, 3, 1)));
    assert_eq!(clients("--topology fan-in --publishers 3 --clients 1000"), Ok((1000, 3, 1)));
    assert_eq!(clients("--publishers 1.5k --subscribers 2k"), Ok((3500, 1500, 2000)));
    assert_eq!(clients("--clients 200k"), Ok((200_000, 100_000, 100_000)));
}

#[test]
fn default_ids_are_safe_and_typed_ones_stay() {
    let cores = cores(None, &[0], Broker::Away);
    let prefix = |line: &str, host: &str| {
        let words = std::iter::once("malaria-bench").chain(line.split_whitespace());
        plan(&Cli::try_parse_from(words).unwrap().run, &cores, 7, host).unwrap().client_id_prefix
    };
    let id = prefix("", "bench.lab_1.example.org");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{id}");
    assert_eq!(prefix("-c a.b/c_d", "lab"), "a.b/c_d");
}

#[test]
fn a_count_replaces_time() {
    let plan = planned("-n 100").unwrap();
    assert_eq!((plan.msg_count, plan.warmup_ns, plan.duration_ns), (Some(100), 0, None));
}

#[test]
fn senseless_lines_are_usage_errors_that_name_value_and_fix() {
    for (line, parts) in [
        ("--size 10", &["--size 10", "24"][..]),
        ("--size 1GiB", &["268369916"]),
        ("--clients 0", &["'0' for '--clients <N>'", "at least 1"]),
        ("--clients 1", &["needs at least 2", "1"]),
        ("--inflight 70000", &["70000"]),
        ("--rate max --arrival poisson", &["closed loop"]),
        ("--rate max -T 0 --arrival poisson", &["closed loop"]),
        ("--rate 0", &["`0`", "`max`"]),
        ("-p 0", &["0"]),
        ("--reconnect false --reconnect-attempts 3", &["--reconnect false", "--reconnect-attempts"]),
        ("--will-payload x", &["--will-topic"]),
        ("--rate fast", &["`fast`"]),
        ("-q 3", &["3", "0..=2"]),
        ("-n 0", &["0"]),
        ("-n 5 --duration 3s", &["cannot be used with"]),
        ("--duration 0", &["--duration 0"]),
        ("--keepalive 100000s", &["65535"]),
        ("--connect-timeout 0", &["--connect-timeout 0"]),
        ("--clean-session false", &["--clientid"]),
        ("-t a/#", &["plain topics"]),
        ("-t %x", &["`%x`"]),
        ("-t a/%n", &["a/%n", "`publish`"]),
        ("-t a/[b,c]", &["a/[b,c]", "`publish`"]),
        ("-t a/<b,c>", &["a/<b,c>", "`publish`"]),
        ("-t a/%i{4}", &["a/%i{4}", "`publish`"]),
        ("--embedded -H x", &["cannot be used with"]),
        ("--password-file x", &["--username"]),
        ("--topology idle -n 5", &["idle"]),
        ("--publishers 900 --subscribers 900 --clients 1k", &["more than --clients 1000"]),
        ("-H http://x", &["http"]),
    ] {
        let error = planned(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
        assert!(parts.iter().all(|part| error.contains(part)), "{line}: {error}");
    }
}

#[test]
fn a_broker_on_this_machine_gets_cpus_of_its_own() {
    let divided = |asked, allowed: &[usize]| {
        let cores = cores(asked, allowed, Broker::Embedded);
        (cores.generator, cores.reflector, cores.warnings.len())
    };
    assert_eq!(divided(None, &[0, 1]), (vec![0], vec![1], 0));
    assert_eq!(divided(None, &[0, 1, 2, 3]), (vec![0, 1], vec![2, 3], 0));
    assert_eq!(divided(Some(1), &[0, 1, 2]), (vec![0], vec![1, 2], 0));
    assert_eq!(divided(Some(16), &[0, 1]), (vec![0], vec![1], 1));
    assert_eq!(divided(None, &[5]), (vec![5], vec![5], 1));
    let here = |asked| cores(asked, &[0, 1, 2, 3], Broker::Here).generator;
    assert_eq!((here(None), here(Some(4))), (vec![0, 1], vec![0, 1, 2, 3]));
    let plain = cores(Some(16), &[0, 1], Broker::Away);
    assert_eq!((plain.generator, plain.reflector), (vec![0, 1], vec![]));
    assert!(plain.warnings[0].contains("--cores 16") && plain.warnings[0].contains("using 2"));
}

/// A storm that comes when everything is over would leave a run that had none, and is clean.
#[test]
fn nobody_leaves_after_the_end() {
    let away = |line: &str| planned(line).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(away("--away all,3s,0s -c me --warmup 1s --duration 3s"), Ok(()));
    let late = away("--away all,4s,0s -c me --warmup 1s --duration 3s").expect_err("it is over by then");
    assert!(late.contains("4s after the first message") && late.contains("4s together"), "{late}");
}
