//! What the flags of MQTT 5 mean.

use super::Usage;
use super::args::ConnectionArgs;
use crate::clock::SECOND;
use crate::crew::{Five, Wanted};
use crate::units::Span;
use crate::wire::Protocol;
use crate::wire::v5::{Options, RetainHandling};

/// What clients are to say, if they speak 5.
pub fn five(args: &ConnectionArgs) -> Result<Five, Usage> {
    let wanted = Wanted {
        session_expiry_s: seconds("--session-expiry", args.five.session_expiry)?,
        receive_maximum: args.five.receive_maximum,
        user: args.five.user_property.clone(),
        will_delay_s: seconds("--will-delay", args.five.will_delay)?,
        message_expiry_s: seconds("--message-expiry", args.five.message_expiry)?,
        content_type: args.five.content_type.clone(),
        topic_alias: args.five.topic_alias,
        options: Options {
            retain_as_published: args.five.retain_as_published,
            retain_handling: match args.five.retain_handling {
                None | Some(0) => RetainHandling::Send,
                Some(1) => RetainHandling::SendIfNew,
                Some(_) => RetainHandling::DoNotSend,
            },
            ..Options::default()
        },
    };
    if let Some(flag) = asked(args).filter(|_| args.protocol != Protocol::V5) {
        return Err(Usage(format!("{flag}: only MQTT 5 has it; add --protocol 5")));
    }
    if args.five.will_delay.is_some() && args.will.will_topic.is_none() {
        return Err(Usage("--will-delay: a will needs a topic; give it with --will-topic".into()));
    }
    Five::new(&wanted).map_err(|error| Usage(format!("--user-property or --content-type: {error}")))
}

/// The first of the flags that was given.
fn asked(args: &ConnectionArgs) -> Option<&'static str> {
    let five = &args.five;
    let given = [
        ("--session-expiry", five.session_expiry.is_some()),
        ("--receive-maximum", five.receive_maximum.is_some()),
        ("--user-property", !five.user_property.is_empty()),
        ("--message-expiry", five.message_expiry.is_some()),
        ("--content-type", five.content_type.is_some()),
        ("--topic-alias", five.topic_alias),
        ("--will-delay", five.will_delay.is_some()),
        ("--retain-as-published", five.retain_as_published),
        ("--retain-handling", five.retain_handling.is_some()),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}

/// A span as packets say it, in whole seconds; a part of one counts as one.
fn seconds(flag: &str, span: Option<Span>) -> Result<Option<u32>, Usage> {
    let Some(span) = span else { return Ok(None) };
    let seconds = u32::try_from(span.nanos().div_ceil(SECOND));
    seconds.map(Some).map_err(|_| Usage(format!("{flag} {span}: MQTT allows at most 4294967295s")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v5::{PropertyId, Value};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ConnectionArgs,
    }

    fn meant(line: &str) -> Result<Five, String> {
        let words = std::iter::once("malaria").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        five(&line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked_for_is_said() {
        let line = "--protocol 5 --session-expiry 90s --receive-maximum 20 --user-property site=a=b --user-property x= \
                    --message-expiry 1500ms --content-type text/plain --will-topic w --will-delay 1m";
        let five = meant(line).unwrap();
        let pairs = [
            (PropertyId::UserProperty, Value::Pair("site", "a=b")),
            (PropertyId::UserProperty, Value::Pair("x", "")),
        ];
        for clean in [true, false] {
            let said = five.connect(clean);
            assert_eq!(said.number(PropertyId::SessionExpiryInterval), Some(90));
            assert_eq!(said.number(PropertyId::ReceiveMaximum), Some(20));
            assert!(said.iter().filter(|(id, _)| *id == PropertyId::UserProperty).eq(pairs));
        }
        let said = five.message();
        assert_eq!(said.number(PropertyId::MessageExpiryInterval), Some(2));
        assert_eq!(said.text(PropertyId::ContentType), Some("text/plain"));
        assert!(said.iter().filter(|(id, _)| *id == PropertyId::UserProperty).eq(pairs));
        assert_eq!(five.will().number(PropertyId::WillDelayInterval), Some(60));
    }

    /// A session that is kept is kept for ever, as before 5.
    #[test]
    fn nothing_is_said_that_was_not_asked_for() {
        let five = meant("--protocol 5").unwrap();
        assert!(five.connect(true).is_empty() && five.message().is_empty() && five.will().is_empty());
        let kept = five.connect(false);
        assert!(kept.iter().eq([(PropertyId::SessionExpiryInterval, Value::Number(u32::MAX))]));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for (line, part) in [
            ("--session-expiry 1s", "--session-expiry: only MQTT 5 has it; add --protocol 5"),
            ("--protocol 3.1 --retain-handling 0", "--retain-handling: only MQTT 5"),
            ("--user-property a=b", "--user-property: only MQTT 5"),
            ("--topic-alias", "--topic-alias: only MQTT 5"),
            ("--protocol 5 --user-property a", "KEY=VALUE"),
            ("--protocol 5 --receive-maximum 0", "0"),
            ("--protocol 5 --receive-maximum 65536", "65536"),
            ("--protocol 5 --retain-handling 3", "3"),
            ("--protocol 5 --will-delay 1s", "--will-topic"),
            ("--protocol 5 --message-expiry 50000d", "MQTT allows at most 4294967295s"),
        ] {
            let error = meant(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
