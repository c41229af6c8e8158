//! What stands before a body.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use super::{PayloadError, PayloadOf};
use crate::clock::MILLISECOND;
use crate::load::{STAMP_LEN, Stamp};

/// What stands before every body, added to its size.
///
/// ```
/// use malaria_bench::load::{PayloadPlan, PayloadOf, PayloadStamp, Payloads};
///
/// let of = PayloadOf { client: 0, client_id: "c-0", sequence: 7, total: 9, unix_ns: 1_795_325_252_451_342_000 };
/// for (stamp, payload) in [
///     ("none", "x"),
///     ("malaria", "1795325252.451342,x"),           // <unix seconds>.<6 digits>,
///     ("ms", "1795325252451,x"),                    // <unix milliseconds>,
///     ("ms:ts_sep_flag", "1795325252451ts_sep_flagx"),
///     ("seq", "7,x"),                               // <number of the message>,
///     ("seq:/", "7/x"),
///     ("binary:seq", "\0\0\0\x07x"),                // 4 bytes, big-endian
///     ("flags:seq", "\x42\0\0\0\x07x"),             // a byte that says what follows before it
/// ] {
///     let plan = PayloadPlan { body: "text:x".parse()?, stamp: stamp.parse()?, ..PayloadPlan::default() };
///     let mut out = Vec::new();
///     Payloads::prepare(plan, 1)?.write(&of, &mut out);
///     assert_eq!(out, payload.as_bytes());
///     assert_eq!(stamp.parse::<PayloadStamp>()?.to_string(), stamp);
/// }
/// let binary: PayloadStamp = "binary:ms+seq".parse()?;    // 8 bytes of unix milliseconds first
/// assert_eq!(binary.read(&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 7, b'x']), Some(2_000_000));
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum PayloadStamp {
    #[default]
    None,
    /// `<unix seconds>.<6 digits>,`: 18 bytes until the year 2286. Malaria's `-t`.
    Malaria,
    /// Unix milliseconds in decimal and a separator. emqx's JMeter samplers have `ts_sep_flag`.
    EpochMs { separator: String },
    /// Number of the message (from 1) in decimal and a separator: a counter.
    Sequence { separator: String },
    /// Unix milliseconds (8 bytes) and number of the message (4 bytes, modulo 2^32), both big-endian, either or
    /// both.
    Binary { time: bool, sequence: bool },
    /// The same behind a byte that says what follows, as tuanhiep's JMeter sampler: 0x80 time, 0x40 sequence,
    /// and of the body 0x20 int, 0x10 long, 0x08 float, 0x04 double, 0x02 text.
    Flags { time: bool, sequence: bool },
    /// [`Stamp`] as the main job has it, with run id 0, so that processes need not agree on one, the
    /// sequence from 0, and the unix time in nanoseconds.
    Own,
}

const TIME_FLAG: u8 = 0x80;
const SEQUENCE_FLAG: u8 = 0x40;

impl PayloadStamp {
    /// Unix time in nanoseconds that `payload` was stamped with; `None` when it does not begin with such a
    /// stamp, or the stamp carries no time.
    pub fn read(&self, payload: &[u8]) -> Option<u64> {
        match self {
            PayloadStamp::None | PayloadStamp::Sequence { .. } | PayloadStamp::Binary { time: false, .. } => {
                None
            }
            PayloadStamp::Malaria => read_seconds(payload),
            PayloadStamp::EpochMs { separator } => {
                let (ms, rest) = read_digits(payload)?;
                rest.starts_with(separator.as_bytes()).then(|| ms.checked_mul(MILLISECOND))?
            }
            PayloadStamp::Binary { time: true, .. } => read_ms(payload),
            PayloadStamp::Flags { .. } => match payload.split_first()? {
                (flags, rest) if flags & TIME_FLAG != 0 => read_ms(rest),
                _ => None,
            },
            PayloadStamp::Own => Stamp::decode(payload, 0).map(|stamp| stamp.intended),
        }
    }

    /// Whether [`read`](PayloadStamp::read) finds a time in what is stamped so.
    pub fn has_time(&self) -> bool {
        match self {
            PayloadStamp::None | PayloadStamp::Sequence { .. } => false,
            PayloadStamp::Binary { time, .. } | PayloadStamp::Flags { time, .. } => *time,
            PayloadStamp::Malaria | PayloadStamp::EpochMs { .. } | PayloadStamp::Own => true,
        }
    }

    /// Appends the stamp; `kind` is the flag of the body.
    pub(super) fn write(&self, of: &PayloadOf<'_>, kind: u8, out: &mut Vec<u8>) {
        let (ms, us) = (of.unix_ns / MILLISECOND, of.unix_ns / 1000);
        let written = match self {
            PayloadStamp::None => Ok(()),
            PayloadStamp::Malaria => write!(out, "{}.{:06},", us / 1_000_000, us % 1_000_000),
            PayloadStamp::EpochMs { separator } => write!(out, "{ms}{separator}"),
            PayloadStamp::Sequence { separator } => write!(out, "{}{separator}", of.sequence),
            PayloadStamp::Binary { time, sequence } => return binary(of, *time, *sequence, out),
            PayloadStamp::Flags { time, sequence } => {
                let time_flag = if *time { TIME_FLAG } else { 0 };
                let sequence_flag = if *sequence { SEQUENCE_FLAG } else { 0 };
                out.push(kind | time_flag | sequence_flag);
                return binary(of, *time, *sequence, out);
            }
            PayloadStamp::Own => {
                let sequence = of.sequence.wrapping_sub(1);
                let stamp = Stamp { run_id: 0, publisher: of.client, sequence, intended: of.unix_ns };
                out.write_all(&stamp.encode())
            }
        };
        written.expect("writing to memory");
    }

    /// No stamp is longer, in bytes.
    pub(super) fn longest(&self) -> u64 {
        const DIGITS: usize = "18446744073709551615".len();
        let length = match self {
            PayloadStamp::None => 0,
            PayloadStamp::Malaria => "18446744073.709551,".len(),
            PayloadStamp::EpochMs { separator } => DIGITS - 6 + separator.len(),
            PayloadStamp::Sequence { separator } => DIGITS + separator.len(),
            PayloadStamp::Binary { time, sequence } => 8 * usize::from(*time) + 4 * usize::from(*sequence),
            PayloadStamp::Flags { time, sequence } => 1 + 8 * usize::from(*time) + 4 * usize::from(*sequence),
            PayloadStamp::Own => STAMP_LEN,
        };
        length as u64
    }
}

fn binary(of: &PayloadOf<'_>, time: bool, sequence: bool, out: &mut Vec<u8>) {
    if time {
        out.extend((of.unix_ns / MILLISECOND).to_be_bytes());
    }
    if sequence {
        out.extend((of.sequence as u32).to_be_bytes());
    }
}

/// `<seconds>.<1 to 9 digits>,`: malaria writes 6 of them.
fn read_seconds(payload: &[u8]) -> Option<u64> {
    let (seconds, rest) = read_digits(payload)?;
    let rest = rest.strip_prefix(b".")?;
    let (fraction, after) = read_digits(rest)?;
    let digits = u32::try_from(rest.len() - after.len()).ok().filter(|digits| *digits <= 9)?;
    if !after.starts_with(b",") {
        return None;
    }
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction * 10u64.pow(9 - digits))
}

/// The number that `bytes` begin with, and what follows it.
fn read_digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let number = digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))?;
    (end > 0).then_some((number, rest))
}

fn read_ms(bytes: &[u8]) -> Option<u64> {
    u64::from_be_bytes(*bytes.first_chunk()?).checked_mul(MILLISECOND)
}

impl FromStr for PayloadStamp {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<PayloadStamp, PayloadError> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        let unknown = || PayloadError::UnknownStamp(text.into());
        let separator = || match rest.unwrap_or(",") {
            rest if rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()) => {
                Err(PayloadError::Separator(text.into()))
            }
            rest => Ok(rest.to_owned()),
        };
        let parts = || match rest {
            Some("ms") => Ok((true, false)),
            Some("seq") => Ok((false, true)),
            Some("ms+seq") => Ok((true, true)),
            _ => Err(unknown()),
        };
        match (kind, rest) {
            ("none", None) => Ok(PayloadStamp::None),
            ("malaria", None) => Ok(PayloadStamp::Malaria),
            ("own", None) => Ok(PayloadStamp::Own),
            ("ms", _) => Ok(PayloadStamp::EpochMs { separator: separator()? }),
            ("seq", _) => Ok(PayloadStamp::Sequence { separator: separator()? }),
            ("binary", _) => parts().map(|(time, sequence)| PayloadStamp::Binary { time, sequence }),
            ("flags", None) => Ok(PayloadStamp::Flags { time: false, sequence: false }),
            ("flags", _) => parts().map(|(time, sequence)| PayloadStamp::Flags { time, sequence }),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for PayloadStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, separator) = match self {
            PayloadStamp::None => return f.write_str("none"),
            PayloadStamp::Malaria => return f.write_str("malaria"),
            PayloadStamp::Own => return f.write_str("own"),
            PayloadStamp::EpochMs { separator } => ("ms", separator.as_str()),
            PayloadStamp::Sequence { separator } => ("seq", separator.as_str()),
            PayloadStamp::Binary { time, sequence } => return write_parts(f, "binary", *time, *sequence),
            PayloadStamp::Flags { time, sequence } => return write_parts(f, "flags", *time, *sequence),
        };
        match separator {
            "," => f.write_str(kind),
            _ => write!(f, "{kind}:{separator}"),
        }
    }
}

fn write_parts(f: &mut fmt::Formatter<'_>, kind: &str, time: bool, sequence: bool) -> fmt::Result {
    match (time, sequence) {
        (true, true) => write!(f, "{kind}:ms+seq"),
        (true, false) => write!(f, "{kind}:ms"),
        (false, true) => write!(f, "{kind}:seq"),
        (false, false) => f.write_str(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [&str; 14] = [
        "none",
        "malaria",
        "ms",
        "ms:ts_sep_flag",
        "ms: ",
        "seq",
        "seq:;",
        "binary:ms",
        "binary:seq",
        "binary:ms+seq",
        "flags",
        "flags:ms",
        "flags:ms+seq",
        "own",
    ];

    fn stamp(text: &str) -> PayloadStamp {
        text.parse().unwrap()
    }

    #[test]
    fn checklist_7_a_malaria_stamp_reads_as_malaria_writes_it() {
        let read = |text: &str| PayloadStamp::Malaria.read(text.as_bytes());
        assert_eq!(read("1795325252.451342,3c9b53A2f4F8"), Some(1_795_325_252_451_342_000));
        assert_eq!(read("1795325252.451342,"), Some(1_795_325_252_451_342_000));
        assert_eq!(read("0.5,x"), Some(500_000_000));
        for foreign in
            ["", "abc", "1795325252,x", "1795325252.,x", ".5,x", "1.5", "1.5;x", "-1.5,x", "1.0123456789,x"]
        {
            assert_eq!(read(foreign), None, "{foreign}");
        }
        assert_eq!(read("99999999999999999999.5,x"), None);
        assert_eq!(read("18446744074.0,x"), None);
    }

    #[test]
    fn checklist_23_stamps_of_others_and_none_are_told() {
        assert_eq!(stamp("ms:|").read(b"1795325252451|x"), Some(1_795_325_252_451_000_000));
        assert_eq!(stamp("ms:|").read(b"1795325252451,x"), None);
        assert_eq!(stamp("ms").read(b"18446744073709551615,"), None);
        assert_eq!(stamp("binary:ms").read(&[0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(stamp("binary:ms").read(&[255; 8]), None);
        assert_eq!(stamp("flags:ms").read(&[0x42, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(stamp("flags:ms").read(&[0x82, 0, 0, 0, 0, 0, 0, 0, 1]), Some(1_000_000));
        assert_eq!(stamp("own").read(&[7; 24]), None);
        assert_eq!(stamp("own").read(&[0; 23]), None);
    }

    #[test]
    fn senseless_stamps_are_errors() {
        for (text, part) in [
            ("time", "`time`"),
            ("", "expected"),
            ("malaria:x", "expected"),
            ("binary", "expected"),
            ("binary:seq+ms", "expected"),
            ("ms:", "separator"),
            ("seq:0x", "separator"),
        ] {
            let error = text.parse::<PayloadStamp>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
    }

    /// As the main job's: its readers check the sequence, too.
    #[test]
    fn own_stamps_count_from_0() {
        let of = PayloadOf { client: 3, client_id: "c", sequence: 1, total: 0, unix_ns: 42 };
        let mut out = Vec::new();
        stamp("own").write(&of, 0, &mut out);
        let first = Stamp { run_id: 0, publisher: 3, sequence: 0, intended: 42 };
        assert_eq!(Stamp::decode(&out, 0), Some(first));
    }

    proptest! {
        #[test]
        fn checklist_23_what_is_stamped_is_read_back(unix_ns: u64, sequence: u64, body: Vec<u8>) {
            for text in ALL {
                let stamp = stamp(text);
                prop_assert_eq!(stamp.to_string(), text);
                let of = PayloadOf { client: 1, client_id: "c", sequence, total: 0, unix_ns };
                let mut out = Vec::new();
                stamp.write(&of, 0x02, &mut out);
                prop_assert!(out.len() as u64 <= stamp.longest());
                out.extend(&body);
                let resolution = match text {
                    "own" => 1,
                    "malaria" => 1000,
                    _ => MILLISECOND,
                };
                let time = stamp.has_time().then_some(unix_ns / resolution * resolution);
                prop_assert_eq!(stamp.read(&out), time, "{}", text);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            for text in ALL {
                stamp(text).read(&bytes);
            }
        }
    }
}
