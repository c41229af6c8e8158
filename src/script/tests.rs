use super::*;
use crate::clock::SECOND;
use crate::seed::Purpose;

fn draw() -> Draw {
    Draw::of(1, Purpose::named("test"), 0, 0)
}

/// Whether a rule held, each of so many times that a delivery to `client` on `connection` was due.
fn held(play: &mut Play, client: &str, connection: u64, times: usize) -> Vec<bool> {
    let decide = |_| {
        let mut decision = Decision::default();
        play.decide(On::Delivery, Who { client: Some(client), connection }, &mut decision);
        decision != Decision::default()
    };
    (0..times).map(decide).collect()
}

fn places(held: &[bool]) -> Vec<usize> {
    (1..=held.len()).filter(|place| held[place - 1]).collect()
}

fn dropping(rule: Rule) -> Play {
    Play::new(7, vec![Rule { act: Act::Drop, ..rule }])
}

fn every(every: u64) -> Rule {
    Rule { every, ..Rule::always(On::Delivery, Act::Drop) }
}

#[test]
fn a_rule_holds_when_its_counts_say_so() {
    assert_eq!(places(&held(&mut dropping(every(4)), "c", 1, 13)), [4, 8, 12]);
    assert_eq!(places(&held(&mut dropping(Rule { skip: 2, ..every(4) }), "c", 1, 13)), [6, 10]);
    assert_eq!(places(&held(&mut dropping(Rule { times: 2, ..every(4) }), "c", 1, 99)), [4, 8]);
    assert_eq!(places(&held(&mut dropping(Rule { skip: 3, times: 1, ..every(1) }), "c", 1, 99)), [4]);
}

#[test]
fn what_is_counted_together_is_said() {
    let mut play = dropping(Rule { per: Per::Client, ..every(2) });
    assert_eq!(held(&mut play, "a", 1, 1), [false]);
    assert_eq!(held(&mut play, "b", 2, 2), [false, true]);
    assert_eq!(held(&mut play, "a", 3, 2), [true, false]);
    let mut play = dropping(Rule { per: Per::Connection, ..every(2) });
    assert_eq!(held(&mut play, "a", 1, 1), [false]);
    assert_eq!(held(&mut play, "a", 2, 2), [false, true]);
    assert_eq!(held(&mut play, "b", 1, 1), [true]);
    let mut play = dropping(every(2));
    assert_eq!(held(&mut play, "a", 1, 1), [false]);
    assert_eq!(held(&mut play, "b", 2, 1), [true]);
}

#[test]
fn rules_are_about_one_client_or_about_some() {
    let mut play = dropping(Rule { client: Some("pub-*".into()), ..every(1) });
    assert_eq!(held(&mut play, "pub-1", 1, 1), [true]);
    assert_eq!(held(&mut play, "sub-1", 1, 1), [false]);
    let mut play = dropping(Rule { client: Some("a".into()), ..every(1) });
    assert_eq!(held(&mut play, "ab", 1, 1), [false]);
    assert!(!is_client(Some("a"), None) && is_client(None, None) && !is_client(Some("*"), None));
}

/// The same seed decides the same, for each client on its own, whoever comes first.
#[test]
fn chance_follows_from_seed_and_counts_alone() {
    let rule = || Rule { chance: 0.1, per: Per::Client, ..every(1) };
    let (mut one, mut two) = (dropping(rule()), dropping(rule()));
    let (a, b) = (held(&mut one, "a", 1, 1000), held(&mut one, "b", 2, 1000));
    let mut mixed = [Vec::new(), Vec::new()];
    for step in 0..2000 {
        // b first, and each in its own rhythm.
        let which = usize::from(step % 4 == 0 || mixed[0].len() == 1000);
        let which = if mixed[which].len() == 1000 { 1 - which } else { which };
        mixed[which].extend(held(&mut two, ["a", "b"][which], 9, 1));
    }
    assert_eq!(mixed, [a.clone(), b.clone()]);
    assert_ne!(a, b);
    let other = held(&mut Play::new(8, vec![rule()]), "a", 1, 1000);
    assert_ne!(a, other, "another seed");
    for held in [&a, &b, &other] {
        assert!((70..130).contains(&places(held).len()), "{}", places(held).len());
    }
}

#[test]
fn delays_are_spread_as_they_should_be() {
    let draws = |spread: Spread| {
        let mut draws: Vec<Nanos> =
            (0..10_000).map(|n| spread.draw(&mut Draw::of(3, Purpose::named("test"), 0, n))).collect();
        draws.sort_unstable();
        draws
    };
    assert_eq!(draws(Spread::Fixed(5))[9_999], 5);
    let uniform = draws(Spread::Uniform(1_000, 3_000));
    assert!(uniform[0] >= 1_000 && uniform[9_999] <= 3_000);
    assert!((1_950..2_050).contains(&uniform[5_000]), "{}", uniform[5_000]);
    let exponential = draws(Spread::Exponential(1_000_000));
    let mean = exponential.iter().sum::<u64>() / 10_000;
    assert!((970_000..1_030_000).contains(&mean), "{mean}");
    // The median is ln 2 of it.
    assert!((670_000..716_000).contains(&exponential[5_000]), "{}", exponential[5_000]);
}

#[test]
fn a_bucket_gives_its_rate_and_no_more_than_its_burst_at_once() {
    let mut bucket = Bucket::new(Service { of: PacketType::Publish, per_s: 1000.0, burst: 5 });
    let start = 77 * SECOND;
    assert_eq!((0..9).filter(|_| bucket.take(start)).count(), 5);
    assert_eq!(bucket.next(), start + MILLISECOND);
    assert!(!bucket.take(start + MILLISECOND - 1) && bucket.take(start + MILLISECOND));
    // Looked at now and then, for a second: nothing of the rate is lost.
    let looks = (1..=1000u64).map(|step| start + 2 * MILLISECOND + step * 1_003_000);
    let taken: usize = looks.map(|now| std::iter::from_fn(|| bucket.take(now).then_some(())).count()).sum();
    assert!((1000..=1008).contains(&taken), "{taken}");
}

#[test]
fn payloads_are_cut_and_flipped() {
    assert_eq!(Harm::Cut(2).apply(b"abc"), Some(b"ab".to_vec()));
    assert_eq!(Harm::Cut(3).apply(b"abc"), None);
    assert_eq!(Harm::Flip(0).apply(b"ab"), Some(b"ac".to_vec()));
    assert_eq!(Harm::Flip(0).apply(b""), None);
}

#[test]
fn a_wrong_id_is_the_next_one() {
    let instead = |right: &[u8]| Answer::WrongId.instead_of(right).unwrap();
    assert_eq!(instead(&[0x40, 2, 0, 255]), [0x40, 2, 1, 0]);
    assert_eq!(instead(&[0x90, 3, 255, 255, 0]), [0x90, 3, 0, 1, 0]);
    assert_eq!(instead(&[0x20, 2, 0, 0]), [0x20, 2, 0, 0]);
    assert_eq!(instead(&[0xD0, 0]), [0xD0, 0]);
}

#[test]
fn garbage_follows_from_the_draw() {
    let garbage = || {
        let mut decision = Decision::default();
        decision.add(&Act::Garbage(16), &mut draw());
        decision.also.unwrap()
    };
    assert_eq!(garbage(), garbage());
    assert_eq!(garbage().len(), 16);
}

#[test]
fn a_file_says_all_that_there_is_to_say() {
    let text = r#"
        seed = 5
        rate = "5k"
        burst = 20
        read = "64KiB"
        zero = "connect"
        [[fault]]
        on = "delivery"
        client = "sub-*"
        per = "client"
        skip = 10
        every = 3
        chance = 0.5
        times = 4
        do = "misroute"
        [[at]]
        time = "1.5s"
        every = "1s"
        times = 3
        client = "x"
        do = { stall = "for ever" }
    "#;
    let rule = Rule {
        on: On::Delivery,
        client: Some("sub-*".into()),
        per: Per::Client,
        skip: 10,
        every: 3,
        chance: 0.5,
        times: 4,
        act: Act::Misroute,
    };
    let moment = Moment {
        time: 1_500 * MILLISECOND,
        every: Some(SECOND),
        times: 3,
        client: Some("x".into()),
        act: Act::Stall(None),
    };
    let expected = Script {
        seed: 5,
        service: Some(Service { of: PacketType::Publish, per_s: 5000.0, burst: 20 }),
        read_per_s: Some(64 << 10),
        zero: Zero::Connect,
        rules: vec![rule],
        moments: vec![moment],
    };
    assert_eq!(Script::parse(text), Ok(expected));
    assert_eq!(Script::parse(""), Ok(Script::default()));
    assert_eq!(Script::parse("rate = 50").unwrap(), Script::parse("rate = '50'").unwrap());
    let connects = Script::parse("rate = '50'\nrate_of = 'connect'").unwrap().service;
    assert_eq!(connects, Some(Service { of: PacketType::Connect, per_s: 50.0, burst: 1 }));
    for wrong in
        ["rate = '50'\nrate_of = 'delivery'", "rate = '50'\nrate_of = 'packet'", "rate_of = 'connect'"]
    {
        assert!(Script::parse(wrong).unwrap_err().to_string().contains("`rate_of`"), "{wrong}");
    }
    assert_eq!(
        Script::parse("rate = '50'").unwrap().service,
        Some(Service { of: PacketType::Publish, per_s: 50.0, burst: 1 })
    );
    assert_eq!(
        Script::parse("rate = '5k'").unwrap().service,
        Some(Service { of: PacketType::Publish, per_s: 5000.0, burst: 50 })
    );
}

#[test]
fn acts_have_names() {
    for (on, text, act) in [
        ("publish", "{ delay = '2ms' }", Act::Delay(Spread::Fixed(2 * MILLISECOND))),
        (
            "publish",
            "{ delay = { from = '1ms', to = '3ms' } }",
            Act::Delay(Spread::Uniform(MILLISECOND, 3 * MILLISECOND)),
        ),
        ("delivery", "{ delay = { mean = '20ms' } }", Act::Delay(Spread::Exponential(20 * MILLISECOND))),
        ("pingreq", "'no-answer'", Act::Never),
        ("pubrel", "{ answer = '40 02 00 07' }", Act::Instead(vec![0x40, 2, 0, 7])),
        ("subscribe", "'wrong-id'", Act::WrongId),
        ("packet", "{ send = 'd000' }", Act::Also(vec![0xD0, 0])),
        ("puback", "{ garbage = 16 }", Act::Garbage(16)),
        ("connect", "{ refuse = 3 }", Act::Refuse(ConnectCode::ServerUnavailable)),
        ("subscribe", "{ grant = 128 }", Act::Grant(SubAckCode::Failure)),
        ("subscribe", "{ grant = 1 }", Act::Grant(SubAckCode::Granted(QoS::AtLeastOnce))),
        ("delivery", "'drop'", Act::Drop),
        ("delivery", "'duplicate'", Act::Twice),
        ("delivery", "'repeat'", Act::Repeat),
        ("delivery", "'swap'", Act::Swap),
        ("delivery", "{ cut = 24 }", Act::Cut(24)),
        ("delivery", "'flip'", Act::Flip),
        ("disconnect", "'close'", Act::Close),
        ("pubrec", "'reset'", Act::Reset),
        ("pubcomp", "{ deaf = '2s' }", Act::Deaf(Some(2 * SECOND))),
        ("unsubscribe", "{ deaf = 'for ever' }", Act::Deaf(None)),
        ("publish", "{ stall = '1.4s' }", Act::Stall(Some(1_400 * MILLISECOND))),
    ] {
        let script = Script::parse(&format!("[[fault]]\non = '{on}'\ndo = {text}"));
        assert_eq!(script.unwrap_or_else(|error| panic!("{text}: {error}")).rules[0].act, act);
    }
}

#[test]
fn a_mistake_in_a_file_is_told_with_its_line() {
    let fault = |rest: &str| format!("seed = 1\n[[fault]]\n{rest}");
    for (text, told) in [
        (fault("on = 'connect'\ndo = 'drop'"), "line 2: this can be done on `delivery` only"),
        (fault("on = 'puback'\ndo = 'no-answer'"), "line 2: this can be done where there is an answer only"),
        (fault("on = 'delivery'\ndo = 'wrong-id'"), "line 2: this can be done where there is an answer only"),
        (fault("on = 'publish'\ndo = { refuse = 5 }"), "line 2: this can be done on `connect` only"),
        (
            fault("on = 'connect'\ndo = { refuse = 0 }"),
            "line 2: CONNACK refuses with a code from 1 to 5, not 0",
        ),
        (fault("on = 'connect'\ndo = { grant = 1 }"), "line 2: this can be done on `subscribe` only"),
        (
            fault("on = 'subscribe'\ndo = { grant = 3 }"),
            "line 2: SUBACK grants 0, 1, 2, or 128 (failure), not 3",
        ),
        (fault("on = 'publish'\nevery = 0\ndo = 'close'"), "line 2: `every` counts from 1"),
        (fault("on = 'publish'\nchance = 1.5\ndo = 'close'"), "line 2: `chance` is from 0 to 1, not 1.5"),
        (fault("on = 'publish'\ndo = { garbage = 0 }"), "line 2: garbage has 1 to 1048576 bytes"),
        (
            fault("on = 'publish'\ndo = { delay = { from = '2s', to = '1s' } }"),
            "line 2: a delay is `from` less `to` more",
        ),
        (
            "[[at]]\ntime = '1s'\ndo = 'drop'".into(),
            "line 1: at a moment there is `send`, `garbage`, `close`, `reset`, `deaf` and `stall`",
        ),
        ("[[at]]\ntime = '1s'\ntimes = 2\ndo = 'close'".into(), "line 1: `times` needs `every`"),
        ("[[at]]\ntime = '1s'\nevery = '0s'\ndo = 'close'".into(), "line 1: `every` is above 0"),
        ("burst = 3".into(), "`burst` says nothing without `rate`"),
        ("read = '0'".into(), "`read` is above 0: to read nothing, there is `deaf`"),
    ] {
        assert_eq!(Script::parse(&text).unwrap_err().to_string(), told, "{text}");
    }
    // The parser's own, with the place.
    for (text, line, told) in [
        ("sed = 1", 1, "unknown field `sed`"),
        ("\nrate = 'fast'", 2, "fast"),
        ("[[fault]]\non = 'pubish'\ndo = 'drop'", 2, "unknown variant `pubish`"),
        ("[[fault]]\non = 'publish'\ndo = { answer = '4' }", 3, "`4` is no bytes"),
        ("[[fault]]\non = 'publish'\ndo = { stall = 'ever' }", 3, "ever"),
        ("[[fault]]\non = 'publish'", 1, "missing field `do`"),
    ] {
        let error = Script::parse(text).unwrap_err().to_string();
        assert!(error.contains(&format!("line {line}, ")) && error.contains(told), "{error}");
    }
}
