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

    pub fn bytes(&self) -> &[u8] {
        &self.0
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
}
