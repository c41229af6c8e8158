//! Reason codes (2.4): what came of a request, by number and name.

use super::super::PacketType;
use super::super::PacketType::{
    Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck,
};
use std::fmt;

/// Defines [`ReasonCode`]: each code with its number, its name, and the packets that may carry it.
macro_rules! reason_codes {
    ($($code:ident = $number:literal, $name:literal, [$($packet:ident),*];)*) => {
        /// What came of a request (2.4). From 128 on it has failed.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = concat!($name, ".")] $code = $number,)*
        }

        impl ReasonCode {
            /// All of them, by number.
            pub const ALL: &[ReasonCode] = &[$(ReasonCode::$code),*];

            /// Name, as the standard has it, in lower case.
            pub const fn name(self) -> &'static str {
                match self { $(ReasonCode::$code => $name,)* }
            }

            /// The code with this number, if there is one.
            pub const fn from_byte(byte: u8) -> Option<ReasonCode> {
                match byte { $($number => Some(ReasonCode::$code),)* _ => None }
            }

            /// Packets that may carry it, as bits by their numbers.
            const fn packets(self) -> u16 {
                match self { $(ReasonCode::$code => 0 $(| 1 << $packet as u16)*,)* }
            }
        }
    };
}

// 0 is three in one: success, normal disconnection, and QoS 0 granted.
reason_codes! {
    Success = 0x00, "success", [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth];
    GrantedQoS1 = 0x01, "granted QoS 1", [SubAck];
    GrantedQoS2 = 0x02, "granted QoS 2", [SubAck];
    DisconnectWithWill = 0x04, "disconnect with will message", [Disconnect];
    NoMatchingSubscribers = 0x10, "no matching subscribers", [PubAck, PubRec];
    NoSubscriptionExisted = 0x11, "no subscription existed", [UnsubAck];
    ContinueAuthentication = 0x18, "continue authentication", [Auth];
    Reauthenticate = 0x19, "re-authenticate", [Auth];
    UnspecifiedError = 0x80, "unspecified error", [ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect];
    MalformedPacket = 0x81, "malformed packet", [ConnAck, Disconnect];
    ProtocolError = 0x82, "protocol error", [ConnAck, Disconnect];
    ImplementationSpecificError = 0x83, "implementation specific error",
        [ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect];
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version", [ConnAck];
    ClientIdentifierNotValid = 0x85, "client identifier not valid", [ConnAck];
    BadUserNameOrPassword = 0x86, "bad user name or password", [ConnAck];
    NotAuthorized = 0x87, "not authorized", [ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect];
    ServerUnavailable = 0x88, "server unavailable", [ConnAck];
    ServerBusy = 0x89, "server busy", [ConnAck, Disconnect];
    Banned = 0x8A, "banned", [ConnAck];
    ServerShuttingDown = 0x8B, "server shutting down", [Disconnect];
    BadAuthenticationMethod = 0x8C, "bad authentication method", [ConnAck, Disconnect];
    KeepAliveTimeout = 0x8D, "keep alive timeout", [Disconnect];
    SessionTakenOver = 0x8E, "session taken over", [Disconnect];
    TopicFilterInvalid = 0x8F, "topic filter invalid", [SubAck, UnsubAck, Disconnect];
    TopicNameInvalid = 0x90, "topic name invalid", [ConnAck, PubAck, PubRec, Disconnect];
    PacketIdentifierInUse = 0x91, "packet identifier in use", [PubAck, PubRec, SubAck, UnsubAck];
    PacketIdentifierNotFound = 0x92, "packet identifier not found", [PubRel, PubComp];
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded", [Disconnect];
    TopicAliasInvalid = 0x94, "topic alias invalid", [Disconnect];
    PacketTooLarge = 0x95, "packet too large", [ConnAck, Disconnect];
    MessageRateTooHigh = 0x96, "message rate too high", [Disconnect];
    QuotaExceeded = 0x97, "quota exceeded", [ConnAck, PubAck, PubRec, SubAck, Disconnect];
    AdministrativeAction = 0x98, "administrative action", [Disconnect];
    PayloadFormatInvalid = 0x99, "payload format invalid", [ConnAck, PubAck, PubRec, Disconnect];
    RetainNotSupported = 0x9A, "retain not supported", [ConnAck, Disconnect];
    QoSNotSupported = 0x9B, "QoS not supported", [ConnAck, Disconnect];
    UseAnotherServer = 0x9C, "use another server", [ConnAck, Disconnect];
    ServerMoved = 0x9D, "server moved", [ConnAck, Disconnect];
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported", [SubAck, Disconnect];
    ConnectionRateExceeded = 0x9F, "connection rate exceeded", [ConnAck, Disconnect];
    MaximumConnectTime = 0xA0, "maximum connect time", [Disconnect];
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported", [SubAck, Disconnect];
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported", [SubAck, Disconnect];
}

impl ReasonCode {
    /// Whether what was asked for has failed.
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether this kind of packet may carry it.
    pub const fn is_of(self, packet: PacketType) -> bool {
        self.packets() >> packet as u16 & 1 == 1
    }
}

impl fmt::Display for ReasonCode {
    /// By name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
