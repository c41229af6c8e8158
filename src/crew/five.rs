//! What clients say in MQTT 5 beside what older ones do.

use crate::client::Limits;
use crate::units;
use crate::wire::v5::{Options, Place, PropertyId, PropertyList, Value};
use crate::wire::{EncodeError, PacketType, Properties, QoS};

/// What clients of MQTT 5 are to say. Nothing of it is said by others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// How long sessions outlive their connections, in seconds; `None`: not at all if they are clean, and else for ever.
    pub session_expiry_s: Option<u32>,
    /// Messages of QoS 1 and 2 that a broker may have unacknowledged to a client; `None` is as many as there are packet
    /// identifiers.
    pub receive_maximum: Option<u16>,
    /// Names and values, in CONNECT and in each message.
    pub user: Vec<(String, String)>,
    /// How long a will waits, in seconds.
    pub will_delay_s: Option<u32>,
    /// After how many seconds a broker drops a message that it has not delivered.
    pub message_expiry_s: Option<u32>,
    /// What payloads are.
    pub content_type: Option<String>,
    /// Publishers name a topic once, and then by a number.
    pub topic_alias: bool,
    /// What is asked for with a topic filter, but for the QoS.
    pub options: Options,
}

/// The same, as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Five {
    clean: PropertyList,
    kept: PropertyList,
    will: PropertyList,
    message: PropertyList,
    aliased: PropertyList,
    topic_alias: bool,
    options: Options,
}

/// A session that is kept for ever (3.1.2.11.2).
const FOR_EVER: u32 = u32::MAX;

impl Five {
    /// What is wanted, written.
    ///
    /// # Errors
    /// A value that its property cannot have.
    pub fn new(wanted: &Wanted) -> Result<Five, EncodeError> {
        let user =
            || wanted.user.iter().map(|(key, value)| (PropertyId::UserProperty, Value::Pair(key, value)));
        let number = |id: PropertyId, number: Option<u32>| number.map(|number| (id, Value::Number(number)));
        let connect = |expiry: Option<u32>| {
            let expiry = wanted.session_expiry_s.or(expiry);
            let all = number(PropertyId::SessionExpiryInterval, expiry)
                .into_iter()
                .chain(number(PropertyId::ReceiveMaximum, wanted.receive_maximum.map(u32::from)))
                .chain(user());
            PropertyList::new(Place::Packet(PacketType::Connect), all)
        };
        let content_type =
            wanted.content_type.as_deref().map(|text| (PropertyId::ContentType, Value::Text(text)));
        let message = |alias: Option<u32>| {
            let all = number(PropertyId::MessageExpiryInterval, wanted.message_expiry_s)
                .into_iter()
                .chain(content_type)
                .chain(number(PropertyId::TopicAlias, alias))
                .chain(user());
            PropertyList::new(Place::Packet(PacketType::Publish), all)
        };
        Ok(Five {
            clean: connect(None)?,
            kept: connect(Some(FOR_EVER))?,
            will: PropertyList::new(Place::Will, number(PropertyId::WillDelayInterval, wanted.will_delay_s))?,
            message: message(None)?,
            aliased: message(Some(1))?,
            topic_alias: wanted.topic_alias,
            options: wanted.options,
        })
    }

    /// In CONNECT, of a session that is to be `clean` or not.
    pub fn connect(&self, clean: bool) -> Properties<'_> {
        if clean { self.clean.get() } else { self.kept.get() }
    }

    /// In CONNECT's will.
    pub fn will(&self) -> Properties<'_> {
        self.will.get()
    }

    /// In each message.
    #[inline]
    pub fn message(&self) -> Properties<'_> {
        self.message.get()
    }

    /// In each message of a client that may give aliases: number 1 is the topic that it named last. `None` where none is
    /// wanted, or the broker takes none.
    #[inline]
    pub fn aliased(&self, limits: &Limits) -> Option<Properties<'_>> {
        (self.topic_alias && limits.aliases > 0).then(|| self.aliased.get())
    }

    /// With a topic filter.
    pub fn options(&self, qos: QoS) -> Options {
        Options { qos, ..self.options }
    }
}

impl Default for Five {
    /// What is said where nothing is wanted.
    fn default() -> Five {
        Five::new(&Wanted::default()).expect("there is nothing that could be wrong")
    }
}

/// What a workload cannot do without: a broker that does not grant it in CONNACK is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// Bytes of its largest packet, where that is known.
    pub packet: u64,
    /// QoS of its messages.
    pub qos: QoS,
    /// It publishes with the retain flag.
    pub retain: bool,
    /// It shares subscriptions.
    pub shares: bool,
}

impl Needs {
    /// What of it a broker does not grant, in words.
    pub fn lacks(&self, granted: Properties<'_>) -> Option<String> {
        let number = |id| granted.number(id);
        let off = |id| number(id) == Some(0);
        if let Some(most) =
            number(PropertyId::MaximumPacketSize).filter(|most| u64::from(*most) < self.packet)
        {
            let (most, packet) = (units::bytes(most.into()), units::bytes(self.packet));
            return Some(format!("takes packets of {most} at most, and messages are {packet}: see --size"));
        }
        if let Some(most) = number(PropertyId::MaximumQoS).filter(|most| *most < self.qos as u32) {
            return Some(format!("takes QoS {most} at most: see --qos"));
        }
        if self.retain && off(PropertyId::RetainAvailable) {
            return Some("takes no retained messages: see --retain".into());
        }
        if self.shares && off(PropertyId::SharedSubscriptionAvailable) {
            return Some("has no shared subscriptions: see --share".into());
        }
        None
    }
}
