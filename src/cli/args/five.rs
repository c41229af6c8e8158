//! Flags of what MQTT 5 alone has.

use super::values::count;
use crate::units::Span;
use clap::Args;

/// What clients say in MQTT 5; all of it needs `--protocol 5`.
#[derive(Clone, Args)]
pub struct FiveArgs {
    /// How long sessions outlive their connections [default: not at all with --clean-session true, else for ever].
    #[arg(long, value_name = "TIME", help_heading = "MQTT 5")]
    pub session_expiry: Option<Span>,
    /// Messages of QoS 1 and 2 that the broker may have unacknowledged to a client [default: 65535].
    #[arg(long, value_name = "N", value_parser = count::<u16, 1>, help_heading = "MQTT 5")]
    pub receive_maximum: Option<u16>,
    /// User property, in CONNECT and in each message; repeat it for several [default: none].
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "MQTT 5")]
    pub user_property: Vec<(String, String)>,
    /// After how long the broker drops a message that it has not delivered [default: never].
    #[arg(long, value_name = "TIME", help_heading = "MQTT 5")]
    pub message_expiry: Option<Span>,
    /// Content type of the messages [default: none].
    #[arg(long, value_name = "TEXT", help_heading = "MQTT 5")]
    pub content_type: Option<String>,
    /// Publishers name their topic once a connection and then by a number, where the broker takes topic aliases
    /// [default: off].
    #[arg(long, help_heading = "MQTT 5")]
    pub topic_alias: bool,
    /// How long a will waits after its client's connection has ended; needs --will-topic [default: 0].
    #[arg(long, value_name = "TIME", help_heading = "MQTT 5")]
    pub will_delay: Option<Span>,
    /// Retain flag of messages that subscribers get: as they were published, and not only of what the broker has kept
    /// [default: off].
    #[arg(long, help_heading = "MQTT 5")]
    pub retain_as_published: bool,
    /// Retained messages for who subscribes: 0 sends them, 1 only with a new subscription, 2 never [default: 0].
    #[arg(long, value_name = "0-2", value_parser = clap::value_parser!(u8).range(0..=2), help_heading = "MQTT 5")]
    pub retain_handling: Option<u8>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err("a user property is KEY=VALUE".into()),
    }
}
