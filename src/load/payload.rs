//! What messages hold: a stamp and a body, described by small parts that combine freely.
//!
//! [`SizePlan`] says how long bodies are, [`BodyPlan`] what they hold, [`Encoding`] how they are written down,
//! [`PayloadStamp`] what stands before them; a [`PayloadPlan`] is one of each. [`Payloads`] prepares it before
//! the run and then writes each message, a pure function of seed, client, number of the message, and time.

mod body;
mod encoding;
mod error;
mod fields;
mod list;
mod number;
mod size;
mod stamp;
#[cfg(test)]
mod tests;

pub use body::{BodyPlan, FileKind};
pub use encoding::Encoding;
pub use error::PayloadError;
pub use fields::FieldTemplate;
pub use number::{NumberKind, NumberRange};
pub use size::SizePlan;
pub use stamp::PayloadStamp;

use crate::seed::{self, Draw, Purpose};

/// Everything random in a message.
const PAYLOAD: Purpose = Purpose::named("payload");

/// Bytes of payload that fit an MQTT packet whatever its topic: the largest remaining length (section 2.2.3),
/// less the longest topic, its length and a packet identifier.
pub const LARGEST_PAYLOAD: u64 = 268_435_455 - 65_535 - 4;

/// What messages hold. The default is malaria's without `-t`: 100 characters of its hex alphabet in the
/// mean, and no stamp.
#[derive(Clone, PartialEq, Debug)]
pub struct PayloadPlan {
    pub size: SizePlan,
    pub body: BodyPlan,
    /// Stands before the body; its length adds to the size.
    pub stamp: PayloadStamp,
    pub encoding: Encoding,
}

impl Default for PayloadPlan {
    fn default() -> PayloadPlan {
        PayloadPlan {
            size: SizePlan::gaussian(100),
            body: BodyPlan::MalariaHex,
            stamp: PayloadStamp::None,
            encoding: Encoding::None,
        }
    }
}

/// Which message to write.
#[derive(Clone, Copy, Debug)]
pub struct PayloadOf<'a> {
    /// Number of the client, from 0.
    pub client: u32,
    /// For bodies that name their client.
    pub client_id: &'a str,
    /// Number of the message, from 1.
    pub sequence: u64,
    /// Messages its client sends; 0 without an end.
    pub total: u64,
    /// What the stamp says, in nanoseconds since 1970.
    pub unix_ns: u64,
}

/// Payloads ready to be written, shared by all workers.
///
/// ```
/// use malaria_bench::load::{PayloadOf, PayloadPlan, PayloadStamp, Payloads, SizePlan};
///
/// // malaria publish -s 20 -t
/// let plan = PayloadPlan {
///     size: SizePlan::gaussian(20),
///     stamp: PayloadStamp::Malaria,
///     ..PayloadPlan::default()
/// };
/// let payloads = Payloads::prepare(plan, 1)?;
/// let mut out = Vec::with_capacity(payloads.room());
/// let of = PayloadOf { client: 0, client_id: "c-0", sequence: 1, total: 10, unix_ns: 1_795_325_252_451_342_000 };
/// payloads.write(&of, &mut out);
/// assert!(out.starts_with(b"1795325252.451342,"));
/// assert!(out[18..].iter().all(u8::is_ascii_hexdigit));
/// assert_eq!(PayloadStamp::Malaria.read(&out), Some(of.unix_ns));
/// # Ok::<(), malaria_bench::load::PayloadError>(())
/// ```
pub struct Payloads {
    size: SizePlan,
    /// Longest body before encoding that fits.
    cap: u64,
    source: Source,
    stamp: PayloadStamp,
    flag: u8,
    /// Of bodies that are encoded as they are written; fixed ones were before.
    encoding: Encoding,
    seed: u64,
    largest: usize,
    room: usize,
}

/// Where bodies come from.
enum Source {
    /// Out of these bytes from a random place on, around their end.
    Pool(Vec<u8>),
    /// These bytes from the first on, over and over.
    Pattern(Vec<u8>),
    Zeros,
    /// The letters a to z over and over.
    MessageFrom(Vec<u8>),
    Pick(Vec<Vec<u8>>),
    Lines(Vec<Vec<u8>>),
    Number(NumberRange),
    BinaryNumber(NumberRange),
    Template(FieldTemplate),
}

/// Random characters that bodies are cut from: few enough to stay in a core's second-level cache, and bodies begin
/// anywhere, so that there are as many different ones. Longer bodies repeat it.
const POOL: usize = 256 * 1024;

/// Patterns are repeated up to about this length beforehand, so that long bodies are few copies.
const REPEATED: usize = 4096;

const MALARIA_ALPHABET: &[u8; 22] = b"0123456789abcdefABCDEF";

impl Payloads {
    /// Makes what can be made before the run: at most 256 KiB of random characters, or the texts, lines and
    /// files of the plan, encoded. Errors name what does not fit together; the file of a plan must have been
    /// read ([`BodyPlan::resolve`]).
    pub fn prepare(plan: PayloadPlan, seed: u64) -> Result<Payloads, PayloadError> {
        let PayloadPlan { size, body, stamp, encoding } = plan;
        size.check()?;
        body.check()?;
        if encoding.is_charset() && !body.is_text() {
            return Err(PayloadError::NotText { encoding: encoding.to_string(), body: body.to_string() });
        }
        let most = LARGEST_PAYLOAD.saturating_sub(stamp.longest());
        let cap = encoding.fits(most);
        let longest = match longest(&body) {
            Some(own) => own,
            None if size.asked() > cap => {
                return Err(PayloadError::TooLarge { bytes: size.asked(), most: cap });
            }
            None => size.bound().min(cap),
        };
        if longest > cap {
            return Err(PayloadError::TooLarge { bytes: longest, most: cap });
        }
        let encoded = encoding.longest(longest);
        let flag = body.flag();
        let (source, before) = Source::prepare(body, encoding, seed);
        let encoding = if before { Encoding::None } else { encoding };
        let scratch = if encoding == Encoding::None { 0 } else { longest };
        Ok(Payloads {
            size,
            cap,
            source,
            flag,
            encoding,
            seed,
            largest: (stamp.longest() + encoded) as usize,
            room: (stamp.longest() + encoded + scratch) as usize,
            stamp,
        })
    }

    /// Appends the payload of one message. The same seed, client, number and time give the same bytes.
    /// Allocates nothing when `out` has [`room`](Payloads::room) left.
    pub fn write(&self, of: &PayloadOf<'_>, out: &mut Vec<u8>) {
        let mut draw = Draw::of(self.seed, PAYLOAD, of.client, of.sequence);
        self.stamp.write(of, self.flag, out);
        let start = out.len();
        match &self.source {
            Source::Pool(pool) => {
                let size = self.draw_size(&mut draw);
                copy_around(pool, draw.below(pool.len() as u64) as usize, size, out);
            }
            Source::Pattern(pattern) => copy_around(pattern, 0, self.draw_size(&mut draw), out),
            Source::Zeros => out.resize(start + self.draw_size(&mut draw), 0),
            Source::MessageFrom(letters) => {
                message_from(letters, of.client_id, self.draw_size(&mut draw), out);
            }
            Source::Pick(items) => out.extend(&items[draw.below(items.len() as u64) as usize]),
            Source::Lines(lines) => {
                out.extend(&lines[(of.sequence.wrapping_sub(1) % lines.len() as u64) as usize]);
            }
            Source::Number(range) => range.write_text(&mut draw, out),
            Source::BinaryNumber(range) => range.write_binary(&mut draw, out),
            Source::Template(template) => template.write(of, &mut draw, out),
        }
        self.encoding.apply(out, start);
    }

    fn draw_size(&self, draw: &mut Draw) -> usize {
        self.size.draw(draw).min(self.cap) as usize
    }

    /// No payload is longer, in bytes: stamp and encoded body. Where a template names the client, that counts as
    /// the 65,535 bytes that MQTT allows.
    pub fn largest(&self) -> usize {
        self.largest
    }

    /// Room in bytes with which [`write`](Payloads::write) never allocates: some more than
    /// [`largest`](Payloads::largest) when bodies are encoded, because that happens behind them.
    pub fn room(&self) -> usize {
        self.room
    }
}

/// Longest body of those that have a length of their own, before encoding.
fn longest(body: &BodyPlan) -> Option<u64> {
    let longest_of = |items: &[Vec<u8>]| items.iter().map(|item| item.len() as u64).max().unwrap_or(0);
    match body {
        BodyPlan::Fixed(bytes) => Some(bytes.len() as u64),
        BodyPlan::Pick(items) | BodyPlan::Lines(items) => Some(longest_of(items)),
        BodyPlan::Number(range) => Some(range.longest_text()),
        BodyPlan::BinaryNumber(range) => Some(range.binary_length()),
        BodyPlan::Template(template) => Some(template.longest()),
        _ => None,
    }
}

impl Source {
    /// And whether its bodies are encoded already.
    fn prepare(body: BodyPlan, encoding: Encoding, seed: u64) -> (Source, bool) {
        let encoded = |mut bytes: Vec<u8>| {
            encoding.apply(&mut bytes, 0);
            bytes.shrink_to_fit();
            bytes
        };
        let of = |alphabet: &[u8]| Source::Pool(pool(alphabet, seed));
        let source = match body {
            BodyPlan::MalariaHex => of(MALARIA_ALPHABET),
            BodyPlan::Random => of(&Vec::from_iter(0..=255)),
            BodyPlan::Text => of(&Vec::from_iter(b' '..=b'~')),
            BodyPlan::Zeros => Source::Zeros,
            BodyPlan::Pattern(pattern) => Source::Pattern(repeated(&pattern)),
            BodyPlan::MessageFrom => Source::MessageFrom(repeated(&Vec::from_iter(b'a'..=b'z'))),
            BodyPlan::Number(range) => Source::Number(range),
            BodyPlan::BinaryNumber(range) => Source::BinaryNumber(range),
            BodyPlan::Template(template) => Source::Template(template),
            BodyPlan::Fixed(bytes) => return (Source::Pick(vec![encoded(bytes)]), true),
            BodyPlan::Pick(items) => {
                return (Source::Pick(items.into_iter().map(encoded).collect()), true);
            }
            BodyPlan::Lines(lines) => {
                return (Source::Lines(lines.into_iter().map(encoded).collect()), true);
            }
            BodyPlan::FromFile { .. } => unreachable!("a plan whose file was not read is refused before"),
        };
        (source, false)
    }
}

fn pool(alphabet: &[u8], seed: u64) -> Vec<u8> {
    let mut draw = seed::stream(seed, "payload pool", 0);
    (0..POOL).map(|_| alphabet[draw.below(alphabet.len() as u64) as usize]).collect()
}

fn repeated(pattern: &[u8]) -> Vec<u8> {
    pattern.repeat(REPEATED.div_ceil(pattern.len()))
}

/// Appends `size` bytes of `ring` from `place` on, around its end as often as it takes.
fn copy_around(ring: &[u8], place: usize, size: usize, out: &mut Vec<u8>) {
    let (mut place, mut left) = (place, size);
    while left > 0 {
        let run = left.min(ring.len() - place);
        out.extend_from_slice(&ring[place..place + run]);
        (place, left) = (0, left - run);
    }
}

/// As chirino's mqtt-benchmark, whose messages are one byte longer than asked for; these are not.
fn message_from(letters: &[u8], client_id: &str, size: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let id = client_id.chars().map(|char| if char.is_ascii() { char as u8 } else { b'?' });
    out.extend(b"Message from ".iter().copied().chain(id).chain([b'\n']).take(size));
    let head = out.len() - start;
    copy_around(letters, head % 26, size - head, out);
}
