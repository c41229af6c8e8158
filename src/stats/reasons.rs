//! Reason codes of MQTT 5, counted.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// How often which reason was given, by number.
///
/// In records by name, and only those that were given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reasons([u64; KNOWN.len()]);

/// Defines the reasons that are counted: all of the standard but success, and QoS that was granted.
macro_rules! reasons {
    ($($number:literal $name:literal,)*) => {
        const KNOWN: [(u8, &str); [$($number),*].len()] = [$(($number, $name)),*];
    };
}

reasons! {
    0x10 "no matching subscribers",
    0x11 "no subscription existed",
    0x80 "unspecified error",
    0x81 "malformed packet",
    0x82 "protocol error",
    0x83 "implementation specific error",
    0x84 "unsupported protocol version",
    0x85 "client identifier not valid",
    0x86 "bad user name or password",
    0x87 "not authorized",
    0x88 "server unavailable",
    0x89 "server busy",
    0x8A "banned",
    0x8B "server shutting down",
    0x8C "bad authentication method",
    0x8D "keep alive timeout",
    0x8E "session taken over",
    0x8F "topic filter invalid",
    0x90 "topic name invalid",
    0x91 "packet identifier in use",
    0x92 "packet identifier not found",
    0x93 "receive maximum exceeded",
    0x94 "topic alias invalid",
    0x95 "packet too large",
    0x96 "message rate too high",
    0x97 "quota exceeded",
    0x98 "administrative action",
    0x99 "payload format invalid",
    0x9A "retain not supported",
    0x9B "QoS not supported",
    0x9C "use another server",
    0x9D "server moved",
    0x9E "shared subscriptions not supported",
    0x9F "connection rate exceeded",
    0xA0 "maximum connect time",
    0xA1 "subscription identifiers not supported",
    0xA2 "wildcard subscriptions not supported",
}

impl Default for Reasons {
    fn default() -> Reasons {
        Reasons([0; KNOWN.len()])
    }
}

impl Reasons {
    /// A reason with this number was given. Success, and what has no name, is not counted.
    pub fn count(&mut self, number: u8) {
        if let Some(at) = KNOWN.iter().position(|(known, _)| *known == number) {
            self.0[at] += 1;
        }
    }

    /// Adds everything `other` has counted.
    pub fn merge(&mut self, other: &Reasons) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Reasons) -> Reasons {
        let mut delta = *self;
        delta.0.iter_mut().zip(earlier.0).for_each(|(mine, theirs)| *mine -= theirs);
        delta
    }

    /// How often any of them was given.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that were given, with name and count, by number.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KNOWN.iter().zip(self.0).filter(|(_, count)| *count > 0).map(|((_, name), count)| (*name, count))
    }
}

impl Serialize for Reasons {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Reasons {
    /// Names of later versions are left out.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Reasons, D::Error> {
        let counts: BTreeMap<String, u64> = BTreeMap::deserialize(from)?;
        let mut reasons = Reasons::default();
        for (at, (_, name)) in KNOWN.iter().enumerate() {
            reasons.0[at] = counts.get(*name).copied().unwrap_or(0);
        }
        Ok(reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_kept_by_name_and_read_back() {
        let mut reasons = Reasons::default();
        for number in 0..=255 {
            (0..=number).for_each(|_| reasons.count(number));
        }
        assert!(reasons.iter().eq(KNOWN.iter().map(|(number, name)| (*name, u64::from(*number) + 1))));
        let json = serde_json::to_string(&reasons).expect("plain data");
        assert_eq!(serde_json::from_str::<Reasons>(&json).expect("as written"), reasons);
        let later: Reasons = serde_json::from_str(r#"{ "of the future": 1 }"#).expect("tolerant");
        assert_eq!(later, Reasons::default());
    }
}
