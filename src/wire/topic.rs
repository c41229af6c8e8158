//! Topic names and topic filters (4.7): what is valid, and what matches what.

use std::fmt;

/// Why a text is no topic name or no topic filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TopicError {
    Empty,
    /// Longer than 65,535 bytes.
    TooLong,
    NullCharacter,
    WildcardInName,
    /// `#` before the end, or beside other characters in its level.
    MisplacedMultiLevelWildcard,
    /// `+` beside other characters in its level.
    MisplacedSingleLevelWildcard,
}

impl TopicError {
    /// The statements broken, the most specific first.
    pub const fn statements(self) -> &'static [&'static str] {
        match self {
            TopicError::Empty => &["MQTT-4.7.3-1"],
            TopicError::TooLong => &["MQTT-4.7.3-3"],
            TopicError::NullCharacter => &["MQTT-4.7.3-2", "MQTT-1.5.3-2"],
            TopicError::WildcardInName => &["MQTT-3.3.2-2", "MQTT-4.7.1-1"],
            TopicError::MisplacedMultiLevelWildcard => &["MQTT-4.7.1-2"],
            TopicError::MisplacedSingleLevelWildcard => &["MQTT-4.7.1-3"],
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            TopicError::Empty => "the topic is empty",
            TopicError::TooLong => "the topic is longer than 65,535 bytes",
            TopicError::NullCharacter => "the topic contains U+0000",
            TopicError::WildcardInName => "a topic name contains + or #",
            TopicError::MisplacedMultiLevelWildcard => "# is not the whole last level of the topic filter",
            TopicError::MisplacedSingleLevelWildcard => "+ is not a whole level of the topic filter",
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        self.statements().iter().try_for_each(|statement| write!(f, " [{statement}]"))
    }
}

impl std::error::Error for TopicError {}

/// Whether a message can be published to this topic.
///
/// # Errors
/// The first rule of 4.7 that `name` breaks.
#[inline]
pub fn valid_name(name: &str) -> Result<(), TopicError> {
    // No early exit: the loop becomes a few vector compares, and names are nearly always valid.
    let suspect = name.bytes().fold(false, |seen, b| seen | (b == 0) | (b == b'+') | (b == b'#'));
    if suspect || name.is_empty() || name.len() > usize::from(u16::MAX) {
        return Err(name_error(name));
    }
    Ok(())
}

#[cold]
fn name_error(name: &str) -> TopicError {
    if name.is_empty() {
        TopicError::Empty
    } else if name.len() > usize::from(u16::MAX) {
        TopicError::TooLong
    } else if name.contains('\0') {
        TopicError::NullCharacter
    } else {
        TopicError::WildcardInName
    }
}

/// Whether this is a filter that can be subscribed to.
///
/// # Errors
/// The first rule of 4.7 that `filter` breaks.
pub fn valid_filter(filter: &str) -> Result<(), TopicError> {
    if filter.is_empty() {
        return Err(TopicError::Empty);
    }
    if filter.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    if filter.contains('\0') {
        return Err(TopicError::NullCharacter);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        if level.contains('#') && !(level == "#" && last) {
            return Err(TopicError::MisplacedMultiLevelWildcard);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::MisplacedSingleLevelWildcard);
        }
    }
    Ok(())
}

/// Whether a message to `name` goes to a subscription of `filter`, both valid.
///
/// Levels are compared byte by byte, without normalisation [MQTT-4.7.3-4]; a filter that begins with a
/// wildcard does not match a name that begins with `$` [MQTT-4.7.2-1].
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = name.split('/');
    for wanted in filter.split('/') {
        // "#" stands for the parent too: "sport/#" matches "sport" (4.7.1.2).
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
