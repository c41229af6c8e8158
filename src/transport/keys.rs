//! What clients of TLS-PSK are called, and their keys.

use std::fmt;
use std::sync::Arc;

/// The identity and the key of each client, by index: one text for all of them, which is shared, not copied.
#[derive(Clone, Default)]
pub struct Keys(Arc<Packed>);

#[derive(Clone, Default)]
struct Packed {
    text: Vec<u8>,
    /// Where identity and key of each end in it.
    ends: Vec<[u32; 2]>,
}

impl Packed {
    fn push(&mut self, identity: &[u8], key: impl IntoIterator<Item = u8>) {
        self.text.extend_from_slice(identity);
        let between = self.text.len() as u32;
        self.text.extend(key);
        self.ends.push([between, self.text.len() as u32]);
    }
}

/// An identity or a key that TLS-PSK cannot carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// RFC 4279, 5.3 asks for 128 bytes at least; OpenSSL has room for these.
    #[error("a PSK identity has 1 to {LONGEST_IDENTITY} bytes without U+0000, not {0}")]
    Identity(usize),
    /// RFC 4279, 5.3 asks for 64 bytes at least; OpenSSL has room for these.
    #[error(
        "a PSK has 1 to {LONGEST_KEY} bytes, which are twice as many hexadecimal digits; there are {0} digits"
    )]
    Length(usize),
    /// Something else than digits.
    #[error("the key is not hexadecimal")]
    Digits,
}

const LONGEST_IDENTITY: usize = 255;
const LONGEST_KEY: usize = 256;

impl fmt::Debug for Keys {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("clients", &self.0.ends.len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The next client is called `identity`, and has the key that `digits` are, in hexadecimal.
    ///
    /// # Errors
    /// What cannot be as given.
    pub fn push(&mut self, identity: &str, digits: &str) -> Result<(), KeyError> {
        if !(1..=LONGEST_IDENTITY).contains(&identity.len()) || identity.contains('\0') {
            return Err(KeyError::Identity(identity.len()));
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(KeyError::Digits);
        }
        if digits.len() % 2 == 1 || !(1..=LONGEST_KEY).contains(&(digits.len() / 2)) {
            return Err(KeyError::Length(digits.len()));
        }
        let pairs = digits.as_bytes().chunks_exact(2);
        let key = pairs.filter_map(|pair| Some(digit(&pair[0])? << 4 | digit(&pair[1])?));
        Arc::make_mut(&mut self.0).push(identity.as_bytes(), key);
        Ok(())
    }

    /// Those of clients that have the ones at `places` here.
    pub fn select(&self, places: &[u32]) -> Keys {
        let mut selected = Packed::default();
        for (identity, key) in places.iter().filter_map(|place| self.get(*place)) {
            selected.push(identity, key.iter().copied());
        }
        Keys(Arc::new(selected))
    }

    /// The identity and the key of client `index`, from the first again when there are more clients.
    pub fn get(&self, index: u32) -> Option<(&[u8], &[u8])> {
        let at = (index as usize).checked_rem(self.0.ends.len())?;
        let Packed { text, ends } = &*self.0;
        let start = at.checked_sub(1).map_or(0, |before| ends[before][1]) as usize;
        let [between, end] = ends[at].map(|end| end as usize);
        Some((&text[start..between], &text[between..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_key() {
        let mut keys = Keys::default();
        keys.push("bee-1", "00aF").unwrap();
        keys.push("b", "10").unwrap();
        let all: Vec<_> = (0..3).map(|index| keys.get(index).unwrap()).collect();
        assert_eq!(all[0], (&b"bee-1"[..], &[0, 0xaf][..]));
        assert_eq!(all[1], (&b"b"[..], &[0x10][..]));
        assert_eq!(all[2], all[0]);
        let other = keys.select(&[1, 1, 0]);
        assert_eq!([0, 1, 2].map(|index| other.get(index).unwrap()), [all[1], all[1], all[0]]);
        assert_eq!((keys.len(), Keys::default().get(0)), (2, None));
        assert!(!format!("{keys:?}").contains("bee"), "{keys:?}");
    }

    #[test]
    fn what_cannot_be_carried_is_refused_by_name() {
        let error = |identity: &str, digits: &str| Keys::default().push(identity, digits).unwrap_err();
        let (long, wide) = ("x".repeat(256), "0".repeat(514));
        assert_eq!([error("", "00"), error(&long, "00")], [KeyError::Identity(0), KeyError::Identity(256)]);
        assert_eq!(error("a\0", "00"), KeyError::Identity(2));
        let lengths = [error("a", ""), error("a", "abc"), error("a", &wide)];
        assert_eq!(lengths, [KeyError::Length(0), KeyError::Length(3), KeyError::Length(514)]);
        assert_eq!(error("a", "secret"), KeyError::Digits);
    }
}
