//! Clients that speak MQTT 5, and those that do not, beside each other.

use super::*;
use crate::wire::v5::{self, Options, Place, PropertyId, PropertyList, RetainHandling, Value};
use crate::wire::{Disconnect, PacketType};

impl Net {
    fn say(&mut self, client: Client, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        v5::encode(&packet, &mut bytes).unwrap();
        assert_eq!(self.bytes(client, &bytes), bytes.len());
    }

    /// What a client of 5 gets, in words, with reasons and properties.
    fn heard(&mut self, client: Client) -> Vec<String> {
        self.settle();
        let wires = &mut self.wires[client.worker];
        let bytes = std::mem::take(&mut wires.wires.get_mut(&client.conn).unwrap().out);
        let (mut rest, mut words) = (&bytes[..], Vec::new());
        while let Some((packet, length)) = v5::decode(rest, MAX_PACKET).expect("the broker speaks MQTT 5") {
            words.push(in_all_words(&packet));
            rest = &rest[length..];
        }
        words
    }

    fn five(&mut self, worker: usize, connect: Connect<'_>) -> Client {
        let client = self.open(worker);
        self.say(client, Packet::Connect(connect));
        client
    }
}

fn five(client_id: &str) -> Connect<'_> {
    Connect { protocol: Protocol::V5, ..clean(client_id) }
}

fn list(packet: PacketType, properties: &[(PropertyId, Value<'_>)]) -> PropertyList {
    PropertyList::new(Place::Packet(packet), properties.iter().copied()).unwrap()
}

fn in_all_words(packet: &Packet<'_>) -> String {
    let reason = |reason: ReasonCode| if reason == ReasonCode::Success { "" } else { reason.name() };
    let words = match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) => format!("{} {}", in_words(packet), reason(ack.reason)),
        Packet::Disconnect(leave) => format!("DISCONNECT {}", reason(leave.reason)),
        Packet::UnsubAck(unsuback) => {
            format!("{} {:?}", in_words(packet), unsuback.codes().collect::<Vec<_>>())
        }
        Packet::Publish(publish) => {
            let said: Vec<_> =
                publish.properties.iter().map(|(id, value)| format!("{id}: {value:?}")).collect();
            format!("{} {}", in_words(packet), said.join(", "))
        }
        _ => in_words(packet),
    };
    words.trim().to_owned()
}

const ACCEPTED: &str = "CONNACK new";

#[test]
fn messages_go_between_versions_with_what_each_can_say() {
    for worker in [0, 1] {
        let mut net = Net::new(2);
        let (new, old) = (net.five(worker, five("new")), net.connect(0, "old"));
        assert_eq!(net.heard(new), [ACCEPTED]);
        net.subscribed(old, &[("t", 2)]);
        let mut bytes = Vec::new();
        v5::encode_subscribe(id(9), Properties::NONE, [("t", Options::from(QoS::ExactlyOnce))], &mut bytes)
            .unwrap();
        net.bytes(new, &bytes);
        assert_eq!(net.heard(new), ["SUBACK #9 [2]"]);
        for quality in [0, 1, 2] {
            let said = list(PacketType::Publish, &[(PropertyId::ContentType, Value::Text("text"))]);
            net.say(new, Packet::Publish(Publish { properties: said.get(), ..message("t", "x", quality) }));
            let number = if quality > 0 { format!(" #{quality}") } else { String::new() };
            assert_eq!(net.got(old), [format!("t=x q{quality}{number}")]);
            let mut heard = net.heard(new);
            heard.retain(|words| words.starts_with("t="));
            assert_eq!(heard, [format!("t=x q{quality}{number} content type: Text(\"text\")")]);
        }
    }
}

#[test]
fn who_publishes_to_nobody_is_told() {
    let mut net = Net::new(1);
    let client = net.five(0, five("c"));
    net.heard(client);
    net.say(client, Packet::Publish(message("t", "x", 1)));
    net.say(client, Packet::Publish(message("t", "x", 2)));
    assert_eq!(net.heard(client), ["PUBACK #7 no matching subscribers", "PUBREC #7 no matching subscribers"]);
    let listener = net.connect(0, "listener");
    net.subscribed(listener, &[("t", 0)]);
    net.say(client, Packet::Publish(message("t", "x", 1)));
    assert_eq!(net.heard(client), ["PUBACK #7"]);
    net.say(client, Packet::Unsubscribe(unsubscribe(b"\xA2\x06\0\x08\0\0\x01t")));
    assert_eq!(net.heard(client), ["UNSUBACK #8 [NoSubscriptionExisted]"]);
}

fn unsubscribe(bytes: &[u8]) -> wire::Unsubscribe<'_> {
    let Ok(Some((Packet::Unsubscribe(unsubscribe), _))) = v5::decode(bytes, MAX_PACKET) else { panic!() };
    unsubscribe
}

#[test]
fn an_alias_stands_for_its_topic_until_the_connection_ends() {
    let mut net = Net::new(1);
    let (publisher, listener) = (net.five(0, five("p")), net.connect(0, "l"));
    net.heard(publisher);
    net.subscribed(listener, &[("#", 0)]);
    let alias = |number| list(PacketType::Publish, &[(PropertyId::TopicAlias, Value::Number(number))]);
    let publish = |topic, alias: &PropertyList, net: &mut Net, client| {
        net.say(client, Packet::Publish(Publish { properties: alias.get(), ..message(topic, "x", 0) }));
    };
    for (topic, number, heard) in
        [("a", 1, "a"), ("b", 16, "b"), ("", 1, "a"), ("c", 1, "c"), ("", 16, "b"), ("", 1, "c")]
    {
        publish(topic, &alias(number), &mut net, publisher);
        assert_eq!(net.got(listener), [format!("{heard}=x q0")], "{topic:?} as {number}");
    }
    let again = net.five(0, five("p"));
    assert_eq!(net.heard(publisher), ["DISCONNECT session taken over"]);
    net.heard(again);
    publish("", &alias(1), &mut net, again);
    assert_eq!(net.heard(again), ["DISCONNECT protocol error"], "it was that of another connection");
    let greedy = net.five(0, five("greedy"));
    net.heard(greedy);
    publish("t", &alias(17), &mut net, greedy);
    assert_eq!(net.heard(greedy), ["DISCONNECT topic alias invalid"]);
    assert!(net.is_closed(greedy) && net.got(listener).is_empty());
}

#[test]
fn a_receive_maximum_bounds_the_window() {
    let mut net = Net::new(1);
    let said = list(PacketType::Connect, &[(PropertyId::ReceiveMaximum, Value::Number(2))]);
    let (listener, publisher) =
        (net.five(0, Connect { properties: said.get(), ..five("l") }), net.connect(0, "p"));
    net.heard(listener);
    let mut bytes = Vec::new();
    v5::encode_subscribe(id(9), Properties::NONE, [("t", Options::from(QoS::AtLeastOnce))], &mut bytes)
        .unwrap();
    net.bytes(listener, &bytes);
    net.heard(listener);
    (0..4).for_each(|_| net.publish(publisher, "t", "x", 1));
    assert_eq!(net.heard(listener), ["t=x q1 #1", "t=x q1 #2"]);
    net.say(listener, Packet::PubAck(id(1).into()));
    assert_eq!(net.heard(listener), ["t=x q1 #3"]);
}

#[test]
fn a_session_lasts_as_long_as_was_asked_for() {
    let expiry =
        |seconds| list(PacketType::Connect, &[(PropertyId::SessionExpiryInterval, Value::Number(seconds))]);
    // Expiry, clean start of the second connection, seconds away, whether the session is there.
    let cases = [
        (0, false, 0, false),
        (10, false, 5, true),
        (10, false, 11, false),
        (10, true, 5, false),
        (u32::MAX, false, 1000, true),
    ];
    for (seconds, clean_session, away, present) in cases {
        let mut net = Net::new(1);
        let (first, said) = (Connect { clean_session: true, ..five("c") }, expiry(seconds));
        let client = net.five(0, Connect { properties: said.get(), ..first });
        assert_eq!(net.heard(client), [ACCEPTED]);
        net.cut(client);
        net.now.set(net.now.get() + away * SECOND);
        let client = net.five(0, Connect { clean_session, properties: said.get(), ..first });
        let words = if present { "CONNACK present" } else { ACCEPTED };
        assert_eq!(net.heard(client), [words], "{seconds} s, clean start {clean_session}, {away} s away");
        assert_eq!(net.sessions(), 1);
    }
}

#[test]
fn whoever_has_no_name_is_told_one() {
    let mut net = Net::new(1);
    let name = |net: &mut Net| {
        let client = net.five(0, five(""));
        net.settle();
        let out = std::mem::take(&mut net.wires[0].wires.get_mut(&client.conn).unwrap().out);
        let Ok(Some((Packet::ConnAck(connack), _))) = v5::decode(&out, MAX_PACKET) else { panic!() };
        connack.properties.text(PropertyId::AssignedClientIdentifier).expect("[MQTT-3.2.2-16]").to_owned()
    };
    let (one, other) = (name(&mut net), name(&mut net));
    assert_ne!(one, other);
    // By its name somebody else can take its place.
    let again = net.five(0, five(&one));
    assert_eq!(net.heard(again), [ACCEPTED]);
    assert_eq!(net.counters().takeovers, 1);
}

#[test]
fn reasons_are_given_before_a_connection_ends() {
    let method = list(PacketType::Connect, &[(PropertyId::AuthenticationMethod, Value::Text("SCRAM"))]);
    let mut net = Net::new(1);
    let client = net.five(0, Connect { properties: method.get(), ..five("c") });
    assert_eq!(net.heard(client), ["CONNACK refused: bad authentication method"]);
    assert!(net.is_closed(client));
    let endings: [(&[u8], &str); 4] = [
        (b"\xF0\0", "DISCONNECT protocol error"),
        (b"\x30\x04\0\x01\xFF\0", "DISCONNECT malformed packet"),
        (b"\x30\x06\0\x01t\x02\x0B\x01", "DISCONNECT protocol error"),
        (b"\x10\x0D\0\x04MQTT\x05\x02\0\0\0\0\0", "DISCONNECT protocol error"),
    ];
    for (bytes, words) in endings {
        let client = net.five(0, five("c"));
        net.heard(client);
        net.bytes(client, bytes);
        assert_eq!(net.heard(client), [words], "{bytes:02X?}");
        assert!(net.is_closed(client));
    }
}

/// What this broker has not is refused, and not forgotten.
#[test]
fn options_are_kept_or_refused() {
    let mut net = Net::new(1);
    let publisher = net.connect(0, "p");
    net.retain(publisher, "t", "kept", 0);
    let client = net.five(0, five("c"));
    net.heard(client);
    let mut subscribe = |options: Options| {
        let mut bytes = Vec::new();
        v5::encode_subscribe(id(9), Properties::NONE, [("t", options)], &mut bytes).unwrap();
        net.bytes(client, &bytes);
        net.heard(client)
    };
    let handling = |retain_handling| Options { retain_handling, ..Options::default() };
    assert_eq!(subscribe(handling(RetainHandling::DoNotSend)), ["SUBACK #9 [0]"]);
    assert_eq!(subscribe(handling(RetainHandling::SendIfNew)), ["SUBACK #9 [0]"], "it is not new");
    assert_eq!(subscribe(handling(RetainHandling::Send)), ["SUBACK #9 [0]", "t=kept q0 retained"]);
    assert_eq!(subscribe(Options { no_local: true, ..Options::default() }), ["SUBACK #9 [131]"]);
    assert_eq!(subscribe(Options { retain_as_published: true, ..Options::default() }), ["SUBACK #9 [131]"]);
    let said = list(PacketType::Subscribe, &[(PropertyId::SubscriptionIdentifier, Value::Number(3))]);
    let mut bytes = Vec::new();
    v5::encode_subscribe(id(9), said.get(), [("u", Options::default())], &mut bytes).unwrap();
    net.bytes(client, &bytes);
    assert_eq!(net.heard(client), ["SUBACK #9 [161]"]);
}

#[test]
fn a_will_is_published_if_its_client_wants_it() {
    for (reason, heard) in [(ReasonCode::Success, 0), (ReasonCode::DisconnectWithWill, 1)] {
        let mut net = Net::new(1);
        let listener = net.connect(0, "l");
        net.subscribed(listener, &[("w", 0)]);
        let client = net.five(0, Connect { will: will("w", "gone"), ..five("c") });
        net.heard(client);
        net.say(client, Packet::Disconnect(Disconnect::from(reason)));
        assert_eq!(net.got(listener).len(), heard, "{reason}");
    }
}
