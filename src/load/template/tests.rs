use super::*;
use crate::wire::topic::{matches, valid_filter, valid_name};
use proptest::prelude::*;

fn values(index: u32, sequence: u64) -> Values<'static> {
    let client = Name::Numbered { prefix: "malaria-h-1", index };
    Values { client, index, pair: 3, run_id: 0xbeef, sequence, total: 10, seed: 1 }
}

fn rendered(template: &str, values: &Values<'_>) -> String {
    let mut out = String::new();
    template.parse::<Template>().unwrap().render(values, &mut out).unwrap();
    out
}

fn topics(template: &str, index: u32, count: u64) -> Vec<String> {
    (1..=count).map(|sequence| rendered(template, &values(index, sequence))).collect()
}

#[test]
fn fields_are_filled_in() {
    for (template, topic) in [
        ("bench/%p", "bench/3"),
        ("%c/%i/%r", "malaria-h-1-7/7/0000beef"),
        ("100%%/%i%i", "100%/77"),
        ("plain", "plain"),
        ("%n of %N", "2 of 10"),
        ("%i{4}/%i{1}", "3/0"),
        (r"%i\{4}", "7{4}"),
        (r"\[a,b]/\<c>/\\/\d", r"[a,b]/<c>/\/\d"),
        (r"<a,b\,c,d\>\%%%>", "b,c"),
        ("a]b>c,d}", "a]b>c,d}"),
    ] {
        assert_eq!(rendered(template, &values(7, 2)), topic);
        let typed = template.parse::<Template>().unwrap().to_string();
        assert_eq!(rendered(&typed, &values(7, 2)), topic, "{template} as {typed}");
    }
    assert_eq!("bench/%p/%i{4}[a,b]".parse::<Template>().unwrap().to_string(), "bench/%p/%i{4}[a,b]");
}

#[test]
fn checklist_5_the_topics_of_malaria() {
    let template = "mqtt-malaria/%c/data/%n/%N";
    let client = Name::Numbered { prefix: "beem.loadr-host-99", index: 3 };
    let values = Values { client, sequence: 10, ..values(3, 0) };
    assert_eq!(rendered(template, &values), "mqtt-malaria/beem.loadr-host-99-3/data/10/10");
    let bridged = Values { client: Name::Given("identity-3"), sequence: 1, ..values };
    assert_eq!(rendered(template, &bridged), "mqtt-malaria/identity-3/data/1/10");
}

#[test]
fn checklist_21_topics_fixed_per_client_per_message_and_modulo() {
    assert_eq!(topics("fixed", 0, 2), ["fixed", "fixed"]);
    assert_eq!(topics("t/%c", 4, 2), ["t/malaria-h-1-4", "t/malaria-h-1-4"]);
    assert_eq!(topics("t/%n", 4, 3), ["t/1", "t/2", "t/3"]);
    let modulo: Vec<_> = (0..6).map(|index| rendered("t/%i{4}", &values(index, 1))).collect();
    assert_eq!(modulo, ["t/0", "t/1", "t/2", "t/3", "t/0", "t/1"]);
}

#[test]
fn checklist_21_lists_in_turn_and_at_random() {
    assert_eq!(topics("<a,b,c>", 9, 7), ["a", "b", "c", "a", "b", "c", "a"]);
    // As randompub: `<topic>/<random subtopic1>/<random subtopic2>`.
    let random = topics("test/[a,b,c]/[0,1]", 0, 6000);
    for a in ["a", "b", "c"] {
        for b in ["0", "1"] {
            let count = random.iter().filter(|&topic| *topic == format!("test/{a}/{b}")).count();
            // Five standard deviations of a binomial count around 1000.
            assert!(count.abs_diff(1000) < 145, "test/{a}/{b}: {count}");
        }
    }
}

#[test]
fn random_picks_follow_from_seed_client_and_sequence() {
    let template = "[0,1,2,3,4,5,6,7]/[0,1,2,3,4,5,6,7]";
    let all = topics(template, 5, 100);
    assert_eq!(all, topics(template, 5, 100));
    assert_ne!(all, topics(template, 6, 100));
    let seeded = |seed| rendered(&template.repeat(8), &Values { seed, ..values(5, 1) });
    assert_ne!(seeded(1), seeded(2));
    assert!(all.iter().any(|topic| topic.as_bytes()[0] != topic.as_bytes()[2]), "two picks are independent");
}

#[test]
fn what_varies_is_known() {
    let is = |template: &str| {
        let template: Template = template.parse().unwrap();
        (template.varies(), template.is_per_publisher(), template.is_per_message(), template.is_modular())
    };
    assert_eq!(is("a/%r/%N"), (false, false, false, false));
    assert_eq!(is("a/%p"), (true, false, false, false));
    assert_eq!(is("a/%c"), (true, true, false, false));
    assert_eq!(is("a/%i{3}"), (true, true, false, true));
    assert_eq!(is("a/%n"), (false, false, true, false));
    assert_eq!(is("a/[a,b]"), (false, false, true, false));
}

#[test]
fn filters_cover_what_varies_and_nothing_more() {
    for (template, filter) in [
        ("mqtt-malaria/%c/data/%n/%N", "mqtt-malaria/+/data/+/+"),
        ("plain/topic", "plain/topic"),
        ("a/b%i/c", "a/+/c"),
        ("a/%ib/c", "a/+/c"),
        ("a/%i%n/%r", "a/+/+"),
        ("%c", "+"),
        ("/%c/", "/+/"),
        ("test/[a,b]/<0,1>", "test/+/+"),
        ("test/[a/b,c/d]/x", "test/+/+/x"),
        ("test/x[a,b/c]y/z", "test/#"),
        ("[a,b/c]", "#"),
        ("t/[only]/x", "t/only/x"),
        ("100%%/%i", "100%/+"),
    ] {
        let found = template.parse::<Template>().unwrap().filter();
        assert_eq!(found, filter, "{template}");
        assert_eq!(valid_filter(&found), Ok(()));
    }
}

#[test]
fn what_is_no_topic_is_an_error() {
    for (template, part) in [
        ("a/%x", "`%x`"),
        ("a/%", "`%`"),
        ("", "empty"),
        ("a/+", "plain"),
        ("#", "plain"),
        ("\0", "U+0000"),
        ("a/[b,c", "`[` is not closed"),
        ("a/<b]", "`<` is not closed"),
        (r"[a\]", "`[` is not closed"),
        ("%i{4", "`{` is not closed"),
        ("%i{0}", "`%i{0}`"),
        ("%i{}", "`%i{}`"),
        ("%i{-1}", "`%i{-1}`"),
        ("%i{4294967296}", "`%i{4294967296}`"),
        ("a/[]", "`[]` has an empty choice"),
        ("a/<b,>", "`<b,>` has an empty choice"),
        ("[a,%c]", "`%c` between brackets"),
        ("[a,[b]]", "`[` between brackets"),
    ] {
        let error = template.parse::<Template>().unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{template}: {error}");
    }
}

#[test]
fn the_longest_topic_is_known_before_the_run() {
    let template: Template = "t/%c/%i{11}/[a,long]/%n".parse().unwrap();
    assert_eq!(template.longest(Name::Given("id")), "t/id/10/long/18446744073709551615".len());
}

proptest! {
    #[test]
    fn any_text_parses_to_topics_its_filter_covers_or_is_an_error(
        // Slashes and brackets more often than chance has them.
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "/", "%c", "%i", "%i{3}", "%n", "%N", "%p", "%r", "%%", "[a,b]", "[a/b,c]", "<x,y/z/u>",
            "[q/w,e/r]", "\\", "[", "]", "<", ">", ",", "{", "}", "%",
        ]), 1..8),
        index in any::<u32>(),
        sequence in any::<u64>(),
    ) {
        let text = parts.concat();
        if let Ok(template) = text.parse::<Template>() {
            let values = values(index, sequence);
            let topic = rendered(&text, &values);
            prop_assert_eq!(valid_name(&topic), Ok(()));
            prop_assert!(matches(&template.filter(), &topic), "{} {}", template.filter(), topic);
            prop_assert!(topic.len() <= template.longest(values.client));
            prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
        }
    }
}
