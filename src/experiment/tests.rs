//! From the text of a scenario to what would run.

use super::expand::{COMBINATIONS, Combination, Experiment, PlannedTask, PlannedWork, Surroundings, expand};
use super::file::{Fault, parse, parse_values};
use super::{inherit, quoted};
use proptest::prelude::*;
use std::time::Duration;

fn around() -> Surroundings {
    Surroundings { program: Some("/bin/malaria-bench".into()), out: Some("out".into()), repeats: 1 }
}

fn expanded(text: &str) -> Result<Experiment, Fault> {
    expand(&parse(text)?, &around())
}

/// What the steps of a combination run, as it would be typed.
fn lines(combination: &Combination) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &combination.steps {
        match &step.work {
            PlannedWork::Sleep(span) => lines.push(format!("{}: sleep {}", step.name, span.as_secs_f64())),
            PlannedWork::Sections(sections) => lines.extend(sections.iter().map(|section| {
                let line = match &section.task {
                    PlannedTask::Run(words) => quoted(words),
                    PlannedTask::Shell(line) => format!("sh {line}"),
                };
                format!("{}: {line}", section.name)
            })),
        }
    }
    lines
}

fn first_lines(text: &str) -> Vec<String> {
    let experiment = expanded(text).unwrap();
    experiment.combinations.iter().map(|combination| lines(combination)[0].clone()).collect()
}

/// checklist 79: clients x QoS x retain x size, every combination, the last one fastest.
#[test]
fn a_sweep_has_every_combination() {
    let experiment = expanded(
        "[vars]\nclients = [1, 10]\nqos = [0, 1, 2]\nretain = ['', '--retain']\nsize = ['24', '1KiB']\n\
         [[step]]\nname = 'load'\nrun = 'publish -P ${clients} -q ${qos} ${retain} -s ${size}'\n",
    )
    .unwrap();
    assert_eq!(experiment.combinations.len(), 2 * 3 * 2 * 2);
    let first = &experiment.combinations[0];
    assert_eq!(lines(first), ["load: publish -P 1 -q 0 -s 24"]);
    assert_eq!(first.directory, "clients=1,qos=0,retain=,size=24");
    assert_eq!(first.variables[2], ("retain".to_owned(), String::new()));
    assert_eq!(lines(&experiment.combinations[1]), ["load: publish -P 1 -q 0 -s 1KiB"]);
    assert_eq!(lines(&experiment.combinations[23]), ["load: publish -P 10 -q 2 --retain -s 1KiB"]);
}

/// checklist 78: steps one after the other, with delays, and several client sections at once.
#[test]
fn steps_are_a_sequence_with_parallel_sections() {
    let experiment = expanded(
        r#"
        [vars]
        host = "localhost"
        [[step]]
        shell = "echo $HOME $${HOME} > ${dir}/home"
        [[step]]
        sleep = "1.5s"
        [[step]]
        name = "both"
        parallel = [
            "subscribe -H ${host} -t 'a b/#'",
            { name = "pub", run = "publish -H ${host}", ready = "go ${host}" },
            { shell = "vmstat 1", background = true },
        ]
        "#,
    )
    .unwrap();
    let combination = &experiment.combinations[0];
    assert_eq!(
        lines(combination),
        [
            "step-1: sh echo $HOME ${HOME} > out/run/home",
            "step-2: sleep 1.5",
            "both-1: subscribe -H localhost -t 'a b/#'",
            "both-pub: publish -H localhost",
            "both-3: sh vmstat 1",
        ]
    );
    let PlannedWork::Sections(sections) = &combination.steps[2].work else { panic!("sections") };
    let flags: Vec<_> =
        sections.iter().map(|section| (section.ready.as_deref(), section.background)).collect();
    assert_eq!(flags, [(None, false), (Some("go localhost"), false), (None, true)]);
}

/// checklist 78: groups inherit variables and steps, and override them by name.
#[test]
fn groups_inherit_and_override() {
    let experiment = expanded(
        "[vars]\nqos = 0\nsize = 10\n[[step]]\nname = 'load'\nrun = 'publish -q ${qos} -s ${size}'\n\
         [group.base]\ntemplate = true\nvars = { size = 20 }\n[[group.base.step]]\nname = 'rest'\nsleep = 1\n\
         [group.high]\nextends = 'base'\nvars = { qos = [1, 2] }\n\
         [group.own]\nextends = 'high'\n[[group.own.step]]\nname = 'load'\nshell = 'echo ${group} ${qos}'\n\
         [group.plain]\n",
    )
    .unwrap();
    let seen: Vec<_> =
        experiment.combinations.iter().map(|one| (one.directory.as_str(), lines(one))).collect();
    let expected = [
        ("high/qos=1", vec!["load: publish -q 1 -s 20", "rest: sleep 1"]),
        ("high/qos=2", vec!["load: publish -q 2 -s 20", "rest: sleep 1"]),
        ("own/qos=1", vec!["load: sh echo own 1", "rest: sleep 1"]),
        ("own/qos=2", vec!["load: sh echo own 2", "rest: sleep 1"]),
        ("plain/run", vec!["load: publish -q 0 -s 10"]),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, lines)| (name, lines.into_iter().map(str::to_owned).collect::<Vec<_>>()))
        .collect();
    assert_eq!(seen, expected);
}

/// checklist 87: every combination against every broker, with its own host and variables.
#[test]
fn every_broker_gets_every_combination() {
    let experiment = expanded(
        "[vars]\nqos = [0, 1]\nuser = 'me'\nbase = '/opt'\n\
         [[step]]\nrun = 'publish -H ${host} -u ${user} -q ${qos} -c ${broker}'\n\
         [brokers.one]\nhost = 'a:1884'\nstart = '${base}/one -p 1884 > ${dir}/x'\nready = 1884\n\
         [brokers.two]\nhost = 'mqtt://b'\nready = 'c:99'\nready_timeout = 2\nvars = { user = 'you' }\nrestart = true\n",
    )
    .unwrap();
    let seen: Vec<_> =
        experiment.combinations.iter().map(|one| (one.directory.clone(), lines(one)[0].clone())).collect();
    let expected = [
        ("one/qos=0", "step-1: publish -H a:1884 -u me -q 0 -c one"),
        ("two/qos=0", "step-1: publish -H mqtt://b -u you -q 0 -c two"),
        ("two/qos=1", "step-1: publish -H mqtt://b -u you -q 1 -c two"),
        ("one/qos=1", "step-1: publish -H a:1884 -u me -q 1 -c one"),
    ];
    assert_eq!(seen, expected.map(|(directory, line)| (directory.to_owned(), line.to_owned())));
    let [one, two] = experiment.brokers.as_slice() else { panic!("two brokers") };
    assert_eq!(one.start.as_deref(), Some("/opt/one -p 1884 > out/one/x"));
    assert_eq!((one.ready.as_deref(), two.ready.as_deref()), (Some("a:1884"), Some("c:99")));
    assert_eq!((two.restart, two.ready_timeout), (true, Duration::from_secs(2)));
}

/// Never all of one broker, or all repeats of one combination, in a row: what drifts hits all alike.
#[test]
fn brokers_and_repeats_take_turns() {
    let text = "[vars]\nq = [0, 1]\n[[step]]\nshell = '${dir}'\n[brokers.a]\n[brokers.b]\n";
    let around = Surroundings { repeats: 2, ..around() };
    let experiment = expand(&parse(text).unwrap(), &around).unwrap();
    let found: Vec<String> =
        experiment.combinations.iter().map(|one| one.directory.replace("q=", "")).collect();
    let expected = ["a/0/01", "b/0/01", "b/1/01", "a/1/01", "a/0/02", "b/0/02", "b/1/02", "a/1/02"];
    assert_eq!(found, expected);
    assert_eq!(
        experiment.combinations.iter().map(|one| one.repeat).collect::<Vec<_>>()[3..5],
        [Some(1), Some(2)]
    );
    assert_eq!(lines(&experiment.combinations[2]), ["step-1: sh out/b/q=1/01"]);
    let many = Surroundings { repeats: COMBINATIONS as u32, ..around };
    let fault = expand(&parse(text).unwrap(), &many).unwrap_err();
    assert!(fault.what.contains("too many"), "{fault}");
}

#[test]
fn variables_may_vary_together_follow_a_range_and_refer_to_others() {
    let lines = first_lines(
        "[vars]\nrange = { from = 100, to = 400, step = 150 }\nload = [{ a = 1, b = 'x' }, { a = 2, b = 'y' }]\n\
         both = '${a}-${b}'\n[[step]]\nname = 's'\nshell = '${range} ${both}'\n",
    );
    let expected = ["100 1-x", "100 2-y", "250 1-x", "250 2-y", "400 1-x", "400 2-y"];
    assert_eq!(lines, expected.map(|line| format!("s: sh {line}")));
}

/// checklist 79: other values from the command line, in the file's groups too.
#[test]
fn variables_can_be_set_from_outside() {
    let text = "[vars]\nqos = [0, 1]\nsize = 1\n[[step]]\nname = 's'\nshell = '${qos} ${size}'\n\
                [group.a]\nvars = { size = 2 }\n";
    let mut scenario = parse(text).unwrap();
    for (name, value) in [("qos", "2"), ("size", "[7, '8']")] {
        inherit::set(&mut scenario, name, &parse_values(name, value).unwrap()).unwrap();
    }
    let experiment = expand(&scenario, &around()).unwrap();
    let seen: Vec<_> = experiment.combinations.iter().map(|one| lines(one)[0].clone()).collect();
    assert_eq!(seen, ["s: sh 2 7", "s: sh 2 8"]);
    let error = inherit::set(&mut scenario, "qoss", &parse_values("qoss", "1").unwrap()).unwrap_err();
    assert_eq!(error, "--set qoss: there is no such variable; there are: qos, size");
    assert!(parse_values("qos", "[1").is_err() && parse_values("qos", "[]").is_err());
}

#[test]
fn directories_are_different_and_plain() {
    let experiment =
        expanded("[vars]\nt = ['a/b', 'a b', '../..', 'a/b']\n[[step]]\nshell = 'true'\n").unwrap();
    let seen: Vec<_> = experiment.combinations.iter().map(|one| one.directory.as_str()).collect();
    assert_eq!(seen, ["t=a_b", "t=a_b-2", "t=.._..", "t=a_b-3"]);
}

/// Every mistake has its line and its words.
#[test]
fn mistakes_are_told_with_their_line() {
    let step = "[[step]]\nshell = 'true'\n";
    let cases: [(String, usize, &str); 28] = [
        (String::new(), 1, "there is no step"),
        ("[vars\n".into(), 1, ""),
        (format!("{step}[oops]\n"), 3, "`oops` is unknown"),
        (format!("{step}often = 3\n"), 3, "`often` is unknown"),
        ("[step]\nrun = 'x'\n".into(), 1, "write [[step]]"),
        ("[[step]]\nname = 'x'\n".into(), 1, "this one has none"),
        ("[[step]]\nrun = 'publish'\nsleep = 1\n".into(), 1, "has several"),
        ("\n[[step]]\nname = 'a/b'\nsleep = 1\n".into(), 3, "`a/b` is not a name"),
        ("[[step]]\nname = 'a'\nsleep = 1\n[[step]]\nname = 'a'\nsleep = 1\n".into(), 5, "two steps"),
        ("[[step]]\nsleep = 'long'\n".into(), 2, "`long`"),
        ("[[step]]\nrun = \"publish 'x\"\n".into(), 2, "quotation mark"),
        ("[[step]]\n\nrun = 'publish -n ${count}'\n".into(), 3, "`${count}` is unknown"),
        ("[vars]\ncount = 1\n[[step]]\nrun = 'publish -n ${count'\n".into(), 4, "is not closed"),
        (
            format!("[vars]\na = '${{b}}'\nb = '${{a}}'\n{step}[[step]]\nshell = '${{a}}'\n"),
            3,
            "stands for itself",
        ),
        (format!("[vars]\na = []\n{step}"), 2, "empty list"),
        (format!("[vars]\na = [[1]]\n{step}"), 2, "not a text or a number"),
        (format!("[vars]\na = {{ from = 1 }}\n{step}"), 2, "without `to`"),
        (format!("[vars]\na = {{ from = 5, to = 1 }}\n{step}"), 2, "expected a step of 1 or more"),
        (format!("[vars]\ngroup = 1\n{step}"), 2, "always there"),
        (format!("[vars]\na = 1\nl = [{{ a = 2 }}]\n{step}"), 3, "has a value from another"),
        (format!("{step}[group.a]\nextends = 'b'\n"), 4, "there is no group `b`"),
        (format!("{step}[group.a]\nextends = 'a'\n"), 4, "extends itself"),
        ("[group.a]\nvars = { x = 1 }\n".into(), 1, "has no step"),
        (format!("{step}[group.a]\ntemplate = true\n"), 3, "every group is a template"),
        ("[[step]]\nparallel = [{ run = 'publish', background = true }]\n".into(), 2, "nothing would end it"),
        ("[[step]]\nparallel = [{ name = 'x' }]\n".into(), 2, "either run or shell"),
        (format!("{step}[brokers.b]\nstart = 'x'\n"), 4, "`start` without `ready`"),
        (format!("{step}[brokers.b]\nready = 'soon'\n"), 4, "not a port"),
    ];
    for (text, line, words) in cases {
        let fault = expanded(&text).unwrap_err();
        assert!(fault.line == line && fault.what.contains(words), "{text}\n{fault}");
        assert!(!fault.what.contains('\n'), "{fault}");
    }
}

#[test]
fn too_many_combinations_are_refused_before_they_are_made() {
    let wide = "{ from = 1, to = 1000 }";
    let text = format!("[vars]\na = {wide}\nb = {wide}\nc = {wide}\n[[step]]\nshell = 'true'\n");
    let fault = expanded(&text).unwrap_err();
    assert!(fault.line == 3 && fault.what.contains("too many"), "{fault}");
}

proptest! {
    /// checklist 78: as many combinations as the lengths of the lists give, all with directories of their own,
    /// and no variable left in any text.
    #[test]
    fn combinations_are_the_product(lengths in proptest::collection::vec(1_usize..6, 0..5)) {
        let mut text = "[vars]\n".to_owned();
        let mut line = String::new();
        for (at, length) in lengths.iter().enumerate() {
            text += &format!("v{at} = {:?}\n", (0..*length).collect::<Vec<_>>());
            line += &format!(" ${{v{at}}}");
        }
        text += &format!("[[step]]\nshell = '{line}'\n");
        let experiment = expanded(&text).unwrap();
        let product: usize = lengths.iter().product();
        prop_assert!(product <= COMBINATIONS);
        let mut seen: Vec<_> = experiment.combinations.iter().map(|one| lines(one)[0].clone()).collect();
        let mut directories: Vec<_> = experiment.combinations.iter().map(|one| &one.directory).collect();
        let is_final = |line: &String| !line.contains('$');
        prop_assert!(seen.iter().all(is_final));
        seen.sort();
        seen.dedup();
        directories.sort();
        directories.dedup();
        prop_assert_eq!((seen.len(), directories.len()), (product, product));
    }

    /// Whatever is in a file, it is read or told of; nothing panics.
    #[test]
    fn any_text_is_read_or_told_of(text in "[a-z\\[\\]{}=\"'$\n ,0-9]{0,60}") {
        let _ = expanded(&text);
        let _ = parse_values("a", &text);
        let _ = expanded(&format!("[[step]]\nrun = '''{text}'''\n"));
    }
}
