//! What a payload holds behind its stamp.

use super::STAMP_LEN;
use crate::seed;

/// Bytes prepared before the first message, the same behind every stamp: random, so that nothing on the
/// way can compress them.
#[derive(Clone, Debug)]
pub struct Body(Vec<u8>);

impl Body {
    /// For payloads of `size` bytes, stamp included.
    ///
    /// # Panics
    /// When `size` is smaller than the stamp.
    pub fn new(size: usize, seed: u64) -> Body {
        let len = size.checked_sub(STAMP_LEN).expect("the plan was checked: a payload holds its stamp");
        let mut bytes = vec![0; len];
        seed::stream(seed, "body", 0).fill(&mut bytes);
        Body(bytes)
    }

    /// What stands behind the stamp.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `payload` is as it was sent: of the right length, and the same where `bytes` are looked at.
    #[inline]
    pub fn is_in(&self, payload: &[u8], bytes: bool) -> bool {
        payload.len() == STAMP_LEN + self.0.len() && (!bytes || payload[STAMP_LEN..] == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_the_seed_says() {
        assert_eq!(Body::new(100, 1).bytes(), Body::new(100, 1).bytes());
        assert_ne!(Body::new(100, 1).bytes(), Body::new(100, 2).bytes());
        assert_eq!(Body::new(STAMP_LEN, 1).bytes(), b"");
        assert_eq!(Body::new(100, 1).bytes().len(), 100 - STAMP_LEN);
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_seen() {
        let body = Body::new(100, 1);
        let sent = [&[7; STAMP_LEN], body.bytes()].concat();
        assert!(body.is_in(&sent, true));
        for wrong in [&sent[..99], &sent[..STAMP_LEN], &[&sent[..], b"x"].concat()] {
            assert!(!body.is_in(wrong, false), "{} bytes", wrong.len());
        }
        let mut flipped = sent;
        flipped[99] ^= 1;
        assert_eq!([false, true].map(|bytes| body.is_in(&flipped, bytes)), [true, false]);
    }
}
