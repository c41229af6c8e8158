//! Scripts of the gallery in the simulated world: the accounts are those that `tests/script` has over sockets.

use super::*;

/// What ten pairs have of 4,000 messages.
const ACCOUNTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/script/accounts.json"));

#[test]
fn a_script_of_the_gallery_has_the_same_account_as_over_sockets() {
    let scripts = [
        ("corrupting", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scripts/corrupting.toml"))),
        ("lossy", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scripts/lossy.toml"))),
        ("misrouting", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scripts/misrouting.toml"))),
        ("mute", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scripts/mute.toml"))),
    ];
    let accounts: serde_json::Value = serde_json::from_str(ACCOUNTS).unwrap();
    assert_eq!(accounts.as_object().unwrap().len(), scripts.len());
    for (name, text) in scripts {
        let plan = Plan {
            duration_ns: Some(2 * SECOND),
            ack_timeout_ns: 30 * SECOND,
            verify: record::Verify::All,
            ..plan(20, 1, 2000.0)
        };
        let script = Script::parse(text).unwrap();
        let played = Scene::new(Setup { script, ..Setup::exact(1) }, plan).play();
        let account = &played.world.truth().done;
        assert_eq!(serde_json::to_value(account).unwrap(), accounts[name], "{name}");
        let (counts, of) = (&played.record.counts, |deed| account.of(deed));
        let harmed = of(Deed::Cut) + of(Deed::Flipped);
        let told = [counts.sent, counts.acked, counts.corrupted, counts.misrouted];
        assert_eq!(told, [4000, account.acked, harmed, of(Deed::Misrouted)], "{name}: {counts:?}");
        let missing = of(Deed::Dropped) + of(Deed::Misrouted) + harmed;
        let told = [counts.lost + counts.undelivered_at_end, counts.duplicated, counts.reordered];
        assert_eq!(told, [missing, of(Deed::Duplicated), of(Deed::Swapped)], "{name}: {counts:?}");
    }
}
