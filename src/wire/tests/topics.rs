//! Topic names, topic filters and matching: the standard's own examples (4.7), and a plain model of it.

use proptest::prelude::*;

use super::super::topic::{TopicError, matches, valid_filter, valid_name};

#[test]
fn names() {
    for name in ["a", "/", "//", "a b", "/finance", "$SYS/x", "sport/tennis/player1", "é/\u{10FFFF}"] {
        assert_eq!(valid_name(name), Ok(()), "{name:?}");
    }
    for (name, error) in [
        ("", TopicError::Empty),
        ("a\0", TopicError::NullCharacter),
        ("a/+/b", TopicError::WildcardInName),
        ("a+", TopicError::WildcardInName),
        ("#", TopicError::WildcardInName),
        ("sport/tennis/player1/a-long-tail-so-that-vectors-are-used/#", TopicError::WildcardInName),
    ] {
        assert_eq!(valid_name(name), Err(error), "{name:?}");
    }
}

#[test]
fn filters() {
    for filter in ["#", "+", "/", "sport/tennis/#", "+/tennis/#", "sport/+/player1", "/+", "+/+", "/#", "a b"]
    {
        assert_eq!(valid_filter(filter), Ok(()), "{filter:?}");
    }
    for (filter, error) in [
        ("", TopicError::Empty),
        ("\0", TopicError::NullCharacter),
        ("sport/tennis#", TopicError::MisplacedMultiLevelWildcard),
        ("sport/tennis/#/ranking", TopicError::MisplacedMultiLevelWildcard),
        ("#/", TopicError::MisplacedMultiLevelWildcard),
        ("##", TopicError::MisplacedMultiLevelWildcard),
        ("+#", TopicError::MisplacedMultiLevelWildcard),
        ("sport+", TopicError::MisplacedSingleLevelWildcard),
        ("+a/b", TopicError::MisplacedSingleLevelWildcard),
        ("++", TopicError::MisplacedSingleLevelWildcard),
    ] {
        assert_eq!(valid_filter(filter), Err(error), "{filter:?}");
    }
}

#[test]
fn longest_topic() {
    let longest = "x".repeat(65_535);
    assert_eq!((valid_name(&longest), valid_filter(&longest)), (Ok(()), Ok(())));
    let over = "x".repeat(65_536);
    assert_eq!(valid_name(&over), Err(TopicError::TooLong));
    assert_eq!(valid_filter(&over), Err(TopicError::TooLong));
    assert!(TopicError::TooLong.to_string().ends_with("[MQTT-4.7.3-3]"));
}

#[test]
fn matching() {
    for (filter, name) in [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("sport/#", "sport/"),
        ("#", "a/b"),
        ("#", "/"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("+/tennis/#", "sport/tennis"),
        ("$SYS/#", "$SYS/"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("a/+/c", "a/$b/c"),
        ("a/#", "a/$SYS"),
    ] {
        assert!(matches(filter, name), "{filter} {name}");
    }
    for (filter, name) in [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("finance", "/finance"),
        ("finance", "Finance"),
        ("a/b", "a/b/"),
        ("a/b", "a"),
        ("a/b/#", "a"),
        // [MQTT-4.7.2-1]
        ("#", "$SYS/x"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("+", "$SYS"),
        // [MQTT-4.7.3-4]: one letter, or a letter and an accent.
        ("caf\u{e9}", "cafe\u{301}"),
    ] {
        assert!(!matches(filter, name), "{filter} {name}");
    }
}

/// 4.7 in the words of the standard, on levels already taken apart.
fn model(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], _) => true,
        ([], []) => true,
        ([wanted, filter @ ..], [level, name @ ..]) => {
            (*wanted == "+" || wanted == level) && model(filter, name)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_is_the_models(
        filter in "([ab$]|\\+)?(/([ab$]|\\+)?){0,3}(/#)?",
        name in "[ab$]?(/[ab$]?){0,4}",
    ) {
        prop_assume!(valid_filter(&filter).is_ok() && valid_name(&name).is_ok());
        let hidden = name.starts_with('$') && filter.starts_with(['+', '#']);
        let (wanted, levels): (Vec<_>, Vec<_>) = (filter.split('/').collect(), name.split('/').collect());
        prop_assert_eq!(matches(&filter, &name), !hidden && model(&wanted, &levels));
    }

    #[test]
    fn a_name_is_a_filter_that_matches_itself(name in "\\PC{0,12}") {
        prop_assume!(valid_name(&name).is_ok());
        prop_assert_eq!(valid_filter(&name), Ok(()));
        prop_assert!(matches(&name, &name));
    }
}
