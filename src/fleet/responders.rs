//! What responders do: they send back what they got, under the topic with `/reply` behind it.

use super::scene::{Prompt, Scene};
use super::shared::Shared;
use crate::client::Outgoing;
use crate::crew::{After, Step};
use crate::engine::Link;
use crate::wire::Publish;

/// A client that answers.
pub struct Responder {
    /// Among all responders of the fleet: they divide the topics among them.
    number: u32,
    pub client_id: String,
}

impl Responder {
    pub fn new(shared: &Shared, number: u32) -> Responder {
        let first = &shared.publishing().clients[0].client_id;
        let own = shared.spec.connection.identities.id(shared.publishers + number);
        let client_id = own.map_or_else(|| format!("{first}-responder-{number}"), str::to_owned);
        Responder { number, client_id }
    }

    /// CONNACK is here.
    pub fn connected<L: Link>(&self, scene: &mut Scene<'_, L>) {
        let publishing = scene.shared.publishing();
        scene.subscribe([(publishing.topic.filter().as_str(), publishing.qos)]);
    }

    /// Goes on from what has happened.
    pub fn go_on<L: Link>(&self, scene: &mut Scene<'_, L>, prompt: Prompt) {
        match prompt {
            Prompt::Subscribed => drop(scene.ready()),
            Prompt::Stop if scene.step() == Step::Down => scene.finish(),
            Prompt::Stop | Prompt::Look => {}
            _ => return,
        }
        let needless = scene.common.stopped || scene.shared.all_published();
        if needless && scene.step() == Step::Up {
            scene.leave(After::Done);
        }
    }

    /// A request is here.
    pub fn answer<L: Link>(&self, scene: &mut Scene<'_, L>, request: &Publish<'_>) {
        // FNV-1a.
        let hash = request.topic.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let publishing = scene.shared.publishing();
        // Of a filter that covers more than it should, answers must not be answered.
        let other = (hash % u64::from(publishing.responders)) as u32 != self.number;
        if other || request.topic.ends_with("/reply") {
            return;
        }
        if scene.crew.room(scene.link, scene.place, publishing.qos) == 0 {
            return scene.crew.books.trouble("a responder had no room for an answer".into());
        }
        let wall = scene.unix_ns();
        let topic = &mut scene.common.topic;
        topic.clear();
        topic.extend([request.topic, "/reply"]);
        let message = Outgoing { topic, qos: publishing.qos, retain: false, payload: &[request.payload] };
        scene.crew.publish_aside(scene.link, scene.place, message, wall);
    }
}
