use super::*;
use proptest::prelude::*;

const UNIX_NS: u64 = 1_795_325_252_451_342_000;

fn plan(body: &str, size: &str, stamp: &str, encoding: &str) -> PayloadPlan {
    PayloadPlan {
        size: size.parse().unwrap(),
        body: body.parse().unwrap(),
        stamp: stamp.parse().unwrap(),
        encoding: encoding.parse().unwrap(),
    }
}

fn prepared(body: &str, size: &str, stamp: &str, encoding: &str) -> Payloads {
    Payloads::prepare(plan(body, size, stamp, encoding), 42).unwrap()
}

/// Also checks the promises about length and memory.
fn written(payloads: &Payloads, client: u32, sequence: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(payloads.room());
    let room = out.capacity();
    let id = format!("c-{client}");
    let of = PayloadOf { client, client_id: &id, sequence, total: 9, unix_ns: UNIX_NS };
    payloads.write(&of, &mut out);
    assert!(out.len() <= payloads.largest(), "{} > {}", out.len(), payloads.largest());
    assert_eq!(out.capacity(), room, "no allocation with room");
    out
}

fn one(body: &str, size: &str, stamp: &str, encoding: &str) -> Vec<u8> {
    written(&prepared(body, size, stamp, encoding), 3, 7)
}

const SIZED: [&str; 6] = ["hex", "zeros", "random", "text", "pattern:0123456789", "message-from"];
const OWN: [&str; 8] = [
    "text:hello",
    "pick:a,bc,d",
    "hex:00FF",
    "int:0..100",
    "double:-1..1",
    "binary-long:0..9",
    "json:{\"id\":\"%{uuid}\",\"c\":\"%{client}\",\"n\":%{seq}}",
    "template:%{text:9} %{ms}",
];

#[test]
fn checklist_6_bodies_are_malarias_alphabet_of_normal_length() {
    let payloads = Payloads::prepare(PayloadPlan::default(), 1).unwrap();
    let mut counts = [0u32; 256];
    let (mut sum, mut squares) = (0.0, 0.0);
    const N: u64 = 20_000;
    for sequence in 1..=N {
        let body = written(&payloads, (sequence % 50) as u32, sequence);
        body.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        sum += body.len() as f64;
        squares += (body.len() as f64 - 100.0).powi(2);
    }
    let (mean, sd) = (sum / N as f64, (squares / N as f64).sqrt());
    assert!((mean - 100.0).abs() < 4.0 * 5.0 / (N as f64).sqrt(), "{mean}");
    assert!((sd - 5.0).abs() < 0.15, "{sd}");
    let used: Vec<u8> = (0..=255).filter(|byte| counts[usize::from(*byte)] > 0).collect();
    assert_eq!(used, b"0123456789ABCDEFabcdef");
    for byte in used {
        // The pool has 262,144 characters: 11,916 of each, standard deviation 107 or 0.9 %.
        let share = f64::from(counts[usize::from(byte)]) / sum * 22.0;
        assert!((share - 1.0).abs() < 0.05, "{}: {share}", byte as char);
    }
}

#[test]
fn checklist_7_a_malaria_stamp_is_added_to_a_body_of_unchanged_size() {
    let payload = one("hex", "100", "malaria", "none");
    assert_eq!(payload.len(), 118);
    assert_eq!(&payload[..18], b"1795325252.451342,");
    assert_eq!(payload[18..], one("hex", "100", "none", "none"));
    assert_eq!(PayloadStamp::Malaria.read(&payload), Some(UNIX_NS));
    assert_eq!(one("hex", "0", "malaria", "none"), b"1795325252.451342,");
}

#[test]
fn checklist_22_each_kind_of_body() {
    let text = |body: &str, size: &str| String::from_utf8(one(body, size, "none", "none")).unwrap();
    assert_eq!(one("zeros", "5", "none", "none"), [0; 5]);
    assert!(text("text", "1000").bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let random = one("random", "100000", "none", "none");
    assert!((0..=255).all(|byte| random.contains(&byte)));
    assert_eq!(text("pattern:0123456789", "25"), "0123456789012345678901234");
    assert_eq!(text("message-from", "40"), "Message from c-3\nrstuvwxyzabcdefghijklmn");
    assert_eq!(text("message-from", "7"), "Message");
    assert_eq!(text("text:hello", "100"), "hello");
    assert_eq!(one("hex:00FF", "100", "none", "none"), [0, 255]);
    assert_eq!(one("binary-long:258", "100", "none", "none"), [0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(text("template:%{client} %{index} %{seq}/%{total} %{ms}", "1"), "c-3 3 7/9 1795325252451");
}

#[test]
fn checklist_22_lists_are_picked_from_and_lines_come_in_turn() {
    let payloads = prepared("pick:a,b,c", "1", "none", "none");
    for item in [b"a", b"b", b"c"] {
        let count = (1..=3000).filter(|sequence| written(&payloads, 0, *sequence) == item).count();
        assert!((880..1120).contains(&count), "{count}");
    }
    let body = "lines:f".parse::<BodyPlan>().unwrap().resolve(b"one\ntwo\nthree".to_vec()).unwrap();
    let payloads = Payloads::prepare(PayloadPlan { body, ..PayloadPlan::default() }, 1).unwrap();
    let lines: Vec<_> = (1..=4).map(|sequence| written(&payloads, 5, sequence)).collect();
    assert_eq!(lines, [&b"one"[..], b"two", b"three", b"one"]);
}

#[test]
fn checklist_23_extras_stand_before_the_body() {
    let ms = 1_795_325_252_451u64.to_be_bytes();
    let stamped = |stamp: &str| one("text:x", "1", stamp, "none");
    assert_eq!(stamped("ms:ts_sep_flag"), b"1795325252451ts_sep_flagx");
    assert_eq!(stamped("seq: "), b"7 x");
    assert_eq!(stamped("binary:ms+seq"), [&ms[..], &[0, 0, 0, 7], b"x"].concat());
    assert_eq!(stamped("flags:ms+seq"), [&[0xc2][..], &ms, &[0, 0, 0, 7], b"x"].concat());
    assert_eq!(stamped("own").len(), 25);
    for (body, flag) in [
        ("binary-int:1", 0xe0),
        ("binary-long:1", 0xd0),
        ("binary-float:1", 0xc8),
        ("binary-double:1", 0xc4),
        ("int:1", 0xc2),
        ("random", 0xc0),
        ("pattern-hex:0001", 0xc0),
    ] {
        assert_eq!(one(body, "1", "flags:ms+seq", "none")[0], flag, "{body}");
    }
}

#[test]
fn checklist_24_bodies_are_encoded_and_stamps_are_not() {
    assert_eq!(one("text:hello", "1", "malaria", "base64"), b"1795325252.451342,aGVsbG8=");
    assert_eq!(one("pick:hi", "1", "none", "hex"), b"6869");
    assert_eq!(one("template:%{seq}", "1", "seq", "bits"), b"7,00110111");
    assert_eq!(one("text:\u{20ac}", "1", "none", "utf-16be"), [0x20, 0xac]);
    assert_eq!(one("template:\u{20ac}", "1", "none", "us-ascii"), b"?");
    assert_eq!(one("hex", "300", "malaria", "base64").len(), 18 + 400);
    for body in ["random", "hex:FF", "binary-int:5", "pattern:\u{20ac}"] {
        let error = Payloads::prepare(plan(body, "9", "none", "utf-16"), 1).err().unwrap().to_string();
        assert!(error.contains("utf-16 is for text"), "{error}");
    }
}

#[test]
fn checklist_25_every_size_from_nothing_to_above_256_kib() {
    for body in SIZED {
        for size in [0, 1, 2, 20, 1000, 65_536, 262_143, 262_144, 262_145, 1_000_000] {
            assert_eq!(one(body, &size.to_string(), "none", "none").len(), size, "{body}");
        }
    }
    let payloads = prepared("hex", "gauss:256KiB", "none", "none");
    let sizes: Vec<_> = (1..200).map(|sequence| written(&payloads, 0, sequence).len() as f64).collect();
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    assert!((mean / 262_144.0 - 1.0).abs() < 4.0 * 0.05 / 199f64.sqrt(), "{mean}");
}

#[test]
fn checklist_25_what_fits_no_packet_or_makes_no_sense_is_an_error() {
    let largest = LARGEST_PAYLOAD.to_string();
    let error = |plan| Payloads::prepare(plan, 1).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(error(plan("zeros", &largest, "none", "none")), "");
    assert!(error(plan("zeros", &largest, "malaria", "none")).contains("at most 268369897"));
    assert!(error(plan("zeros", "200MB", "none", "hex")).contains("at most 134184958"));
    assert!(error(plan("zeros", "gauss:260MB", "none", "base64")).contains("260000000"));
    assert_eq!(error(plan("lines:f", "1", "none", "none")), "payload file f has not been read");
    for (size, body) in [
        (SizePlan::List(vec![]), BodyPlan::Zeros),
        (SizePlan::Uniform { min: 2, max: 1 }, BodyPlan::Zeros),
        (SizePlan::Gaussian { mean: 2, sd: f64::NAN }, BodyPlan::Zeros),
        (SizePlan::LogNormal { median: 2, sigma: -1.0 }, BodyPlan::Zeros),
        (SizePlan::Fixed(1), BodyPlan::Pattern(vec![])),
        (SizePlan::Fixed(1), BodyPlan::Pick(vec![])),
        (SizePlan::Fixed(1), BodyPlan::Lines(vec![])),
    ] {
        assert!(!error(PayloadPlan { size, body, ..PayloadPlan::default() }).is_empty());
    }
    // The far end of a distribution is cut.
    assert_eq!(prepared("hex", "lognormal:1MB,3", "none", "none").largest() as u64, LARGEST_PAYLOAD);
}

#[test]
fn checklist_28_the_same_seed_gives_the_same_bytes() {
    for body in SIZED.into_iter().chain(OWN) {
        let make = |seed| Payloads::prepare(plan(body, "gauss:100", "malaria", "none"), seed).unwrap();
        let (first, same, other) = (make(1), make(1), make(2));
        let run = |payloads: &Payloads, client| -> Vec<_> {
            (1..50).map(|sequence| written(payloads, client, sequence)).collect()
        };
        assert_eq!(run(&first, 0), run(&same, 0), "{body}");
        // In any order.
        assert_eq!(written(&first, 7, 30), run(&same, 7)[29], "{body}");
        if !["text:hello", "hex:00FF"].contains(&body) {
            assert_ne!(run(&first, 0), run(&other, 0), "{body}: seeds differ");
            assert_ne!(run(&first, 0), run(&first, 1), "{body}: clients differ");
        }
    }
}

#[test]
fn checklist_28_bytes_are_fixed_for_all_time() {
    // Pinned: a change would make old seeds useless.
    assert_eq!(String::from_utf8(one("hex", "gauss:20", "none", "none")).unwrap(), "43A5bDC208F499c46AE");
}

proptest! {
    #[test]
    fn checklist_25_lengths_are_size_stamp_and_encoding(
        body in proptest::sample::select(&SIZED[..]),
        size in 0..5000usize,
        (encoding, factor) in proptest::sample::select(&[("none", 1), ("hex", 2), ("bits", 8)][..]),
        (stamp, length) in proptest::sample::select(&[("none", 0), ("malaria", 18), ("binary:ms+seq", 12)][..]),
        sequence in 1..u64::MAX,
    ) {
        let payload = written(&prepared(body, &size.to_string(), stamp, encoding), 1, sequence);
        prop_assert_eq!(payload.len(), length + factor * size);
    }

    #[test]
    fn every_combination_keeps_its_promises(
        body in proptest::sample::select([&SIZED[..], &OWN].concat()),
        size in proptest::sample::select(&["0", "gauss:50", "lognormal:20,1", "uniform:0..300", "list:1,9"][..]),
        stamp in proptest::sample::select(&["none", "malaria", "ms", "seq", "binary:ms", "flags:ms+seq", "own"][..]),
        encoding in proptest::sample::select(&["none", "base64", "hex", "bits", "utf-16", "us-ascii"][..]),
        client: u32,
        sequence: u64,
        unix_ns: u64,
    ) {
        let Ok(payloads) = Payloads::prepare(plan(body, size, stamp, encoding), 3) else {
            return Ok(()); // a charset for bytes
        };
        let mut out = Vec::with_capacity(payloads.room());
        let (start, room) = (out.as_ptr(), out.capacity());
        let of = PayloadOf { client, client_id: "\u{e9}\"\\-1", sequence, total: 0, unix_ns };
        payloads.write(&of, &mut out);
        prop_assert!(out.len() <= payloads.largest());
        prop_assert_eq!((out.as_ptr(), out.capacity()), (start, room));
        let stamp: PayloadStamp = stamp.parse().unwrap();
        prop_assert_eq!(stamp.read(&out).is_some(), stamp.has_time());
    }
}
