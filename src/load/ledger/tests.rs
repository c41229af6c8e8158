use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn expecting(messages: u64, clients: u64) -> Ledger {
    Ledger::new(Some(Expectation { messages, clients }))
}

fn receive_all(ledger: &mut Ledger, client: &str, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| assert_eq!(ledger.receive(client, number), Seen::New));
}

#[test]
fn checklist_42_it_is_complete_with_n_messages_of_each_of_n_clients() {
    let mut ledger = expecting(10, 3);
    for index in 0..3 {
        assert!(!ledger.is_complete());
        receive_all(&mut ledger, &format!("c-{index}"), (1..=10).rev());
    }
    assert!(ledger.is_complete());
    assert_eq!((ledger.received_new(), ledger.missing(), ledger.clients()), (30, Some(0), 3));
    assert!(ledger.heard().iter().all(|heard| heard.missing.is_empty() && heard.actual == 10));
}

#[test]
fn checklist_42_duplicates_and_strangers_do_not_complete_it() {
    let mut ledger = expecting(2, 2);
    receive_all(&mut ledger, "c-0", [1, 2]);
    assert_eq!([ledger.receive("c-0", 1), ledger.receive("c-0", 2)], [Seen::Again; 2]);
    receive_all(&mut ledger, "stranger", [1]);
    receive_all(&mut ledger, "c-1", [2]);
    assert_eq!((ledger.missing(), ledger.is_complete()), (Some(0), false));
    receive_all(&mut ledger, "c-1", [1]);
    assert!(ledger.is_complete());
}

#[test]
fn checklist_43_missing_and_duplicates_are_right_past_65535() {
    let mut ledger = expecting(200_000, 1);
    let lost = [1, 65_535, 65_536, 131_072, 200_000];
    receive_all(&mut ledger, "c-0", (1..=200_000).filter(|number| !lost.contains(number)));
    assert_eq!([ledger.receive("c-0", 65_537), ledger.receive("c-0", 199_999)], [Seen::Again; 2]);
    let heard = ledger.heard();
    assert_eq!((heard[0].actual, &heard[0].missing[..]), (199_995, &lost[..]));
    assert_eq!(heard[0].duplicate_ids, [65_537, 199_999]);
    receive_all(&mut ledger, "c-0", lost);
    assert!(ledger.is_complete() && ledger.heard()[0].missing.is_empty());
}

#[test]
fn checklist_43_clients_never_seen_are_counted_and_named_where_that_follows() {
    let mut ledger = expecting(1, 12);
    assert_eq!(ledger.never_seen(), (vec![], 12));
    for index in [11, 0, 2, 3, 4, 5, 6, 8, 9] {
        receive_all(&mut ledger, &format!("beem.loadr-host-1-{index}"), [1]);
    }
    let absent = ["beem.loadr-host-1-1", "beem.loadr-host-1-7", "beem.loadr-host-1-10"];
    assert_eq!(ledger.never_seen(), (absent.map(String::from).to_vec(), 3));
    // A second prefix, and who is missing is anybody's guess.
    receive_all(&mut ledger, "beem.loadr-host-2-1", [1]);
    assert_eq!(ledger.never_seen(), (vec![], 2));
}

#[test]
fn names_of_clients_never_seen_are_not_guessed() {
    for id in ["c-12", "c-01", "c-", "c", "c-+1", "-", "", "c-99999999999999999999"] {
        let mut ledger = expecting(1, 12);
        receive_all(&mut ledger, id, [1]);
        assert_eq!(ledger.never_seen(), (vec![], 11), "{id}");
    }
    let mut everybody = expecting(1, 1);
    receive_all(&mut everybody, "c-0", [1]);
    receive_all(&mut everybody, "c-1", [1]);
    assert_eq!(everybody.never_seen(), (vec![], 0));
}

#[test]
fn checklist_44_every_client_has_its_account_also_with_duplicates() {
    let mut ledger = expecting(4, 3);
    receive_all(&mut ledger, "c-10", [4, 2]);
    receive_all(&mut ledger, "c-2", [1, 2, 3, 4]);
    assert_eq!([4, 2, 4].map(|number| ledger.receive("c-10", number)), [Seen::Again; 3]);
    let account = |id: &str, actual, duplicate, ids: &[u64], missing: &[u64]| Heard {
        client_id: id.into(),
        expected: Some(4),
        actual,
        duplicate,
        duplicate_ids: ids.to_vec(),
        missing: missing.to_vec(),
    };
    assert_eq!(ledger.heard(), [account("c-2", 4, 0, &[], &[]), account("c-10", 2, 3, &[2, 4], &[1, 3])]);
    assert_eq!((ledger.received_new(), ledger.duplicated()), (6, 3));
}

#[test]
fn what_was_sent_can_be_known_later_and_by_client() {
    let mut ledger = Ledger::new(None);
    receive_all(&mut ledger, "c-0", [1, 3]);
    receive_all(&mut ledger, "c-1", [1]);
    receive_all(&mut ledger, "other", [5]);
    let sent = |id: &str| match id {
        "c-0" => Some(5),
        "c-1" => Some(1),
        _ => None,
    };
    let missing: Vec<_> =
        ledger.heard_of(sent).into_iter().map(|heard| (heard.expected, heard.missing)).collect();
    assert_eq!(missing, [(Some(5), vec![2, 4, 5]), (Some(1), vec![]), (None, vec![])]);
}

#[test]
fn checklist_46_numbers_nobody_sends_are_foreign() {
    let mut ledger = expecting(10, 1);
    assert_eq!([0, 11, u64::MAX].map(|number| ledger.receive("c-0", number)), [Seen::Foreign; 3]);
    assert_eq!((ledger.clients(), ledger.received_new(), ledger.missing()), (0, 0, Some(10)));
    assert_eq!(Ledger::new(None).receive("c-0", 0), Seen::Foreign);
}

#[test]
fn without_an_expectation_nothing_is_missing_and_nothing_complete() {
    let mut ledger = Ledger::new(None);
    receive_all(&mut ledger, "c-0", [7, 5]);
    assert_eq!((ledger.missing(), ledger.is_complete(), ledger.never_seen()), (None, false, (vec![], 0)));
    assert_eq!((ledger.heard()[0].expected, ledger.heard()[0].missing.len()), (None, 0));
}

#[test]
fn hostile_numbers_cost_a_page_at_most() {
    let mut ledger = Ledger::new(None);
    let hostile = [10u64.pow(18), u64::MAX, u64::MAX - 1, 1 << 40];
    receive_all(&mut ledger, "c-0", hostile);
    receive_all(&mut ledger, "c-0", 1..=100_000);
    assert_eq!(ledger.receive("c-0", u64::MAX), Seen::Again);
    // Two of the four share a page.
    let (pages, bytes) = ledger.clients["c-0"].numbers.memory();
    assert!(pages == 3 && bytes <= 3 * 512, "{pages} pages of {bytes} bytes");
}

#[test]
fn without_an_expectation_memory_has_a_bound_and_low_gaps_are_given_up() {
    let mut ledger = Ledger::new(None);
    let far = |page: u64| page * 4096 + 4000;
    receive_all(&mut ledger, "c-0", (1..=2000).map(far));
    let (pages, bytes) = ledger.clients["c-0"].numbers.memory();
    assert!(pages <= Ledger::PAGES && bytes <= Ledger::PAGES * 512, "{pages} pages of {bytes} bytes");
    assert_eq!(ledger.receive("c-0", 5), Seen::Again, "given up");
    assert_eq!(ledger.receive("c-0", far(2000) - 1), Seen::New, "still known");
    assert_eq!(ledger.receive("c-0", far(1900)), Seen::Again, "still known");
    // Downwards, the gaps below the new number are the lowest.
    let mut ledger = Ledger::new(None);
    receive_all(&mut ledger, "c-0", (1744..=2000).rev().map(far));
    assert_eq!(ledger.receive("c-0", far(1743)), Seen::Again, "given up");
    assert_eq!(ledger.received_new(), 257);
}

#[test]
fn clients_beyond_all_reason_are_foreign() {
    let mut ledger = Ledger { most_clients: 2, ..Ledger::new(None) };
    receive_all(&mut ledger, "c-0", [1]);
    receive_all(&mut ledger, "c-1", [1]);
    assert_eq!([ledger.receive("c-2", 1), ledger.receive("c-0", 2)], [Seen::Foreign, Seen::New]);
    assert_eq!(ledger.clients(), 2);
    // Strangers do not keep out those expected.
    let most = |clients| expecting(1, clients).most_clients;
    assert_eq!((most(500), most(3 << 20), most(u64::MAX)), (Ledger::CLIENTS, 6 << 20, u64::MAX));
}

#[test]
fn in_order_no_number_costs_memory() {
    let mut ledger = Ledger::new(None);
    receive_all(&mut ledger, "c-0", 1..=1_000_000);
    assert_eq!(ledger.clients["c-0"].numbers.memory(), (0, 0));
    // Pages go when their gaps are filled.
    receive_all(&mut ledger, "c-0", 1_000_002..=1_100_000);
    assert!(ledger.clients["c-0"].numbers.memory().0 > 20);
    receive_all(&mut ledger, "c-0", [1_000_001]);
    assert_eq!(ledger.clients["c-0"].numbers.memory(), (0, 0));
}

#[test]
fn lists_for_the_record_are_bounded() {
    let mut ledger = expecting(u64::MAX, u64::MAX);
    receive_all(&mut ledger, "c-0", 1..=5000);
    (1..=5000).for_each(|number| assert_eq!(ledger.receive("c-0", number), Seen::Again));
    receive_all(&mut ledger, "c-1", [9]);
    let heard = ledger.heard();
    assert_eq!((heard[0].missing.len(), heard[0].missing[0]), (Ledger::MISSING, 5001));
    assert_eq!((heard[0].duplicate, heard[0].duplicate_ids.len()), (5000, Ledger::DUPLICATE_IDS));
    assert!(heard[1].missing.is_empty());
    let (absent, count) = ledger.never_seen();
    assert_eq!((absent.len() as u64, count), (Ledger::CLIENTS, u64::MAX - 2));
}

#[test]
fn the_old_readmes_500_clients_and_one_of_a_million_need_little() {
    let ids: Vec<_> = (0..500).map(|index| format!("c-{index}")).collect();
    let mut ledger = expecting(1000, 500);
    for number in 1..=1000 {
        ids.iter().for_each(|id| assert_eq!(ledger.receive(id, number), Seen::New));
    }
    assert!(ledger.is_complete());
    assert!(ledger.clients.values().all(|client| client.numbers.memory() == (0, 0)));
    // Far apart, each in the page of another.
    let mut one = expecting(1_000_003, 1);
    receive_all(&mut one, "c-0", (1..500_000).map(|step| step * 7919 % 1_000_003));
    let (pages, bytes) = one.clients["c-0"].numbers.memory();
    assert!(pages == 245 && bytes <= 245 * 512, "{pages} pages of {bytes} bytes");
    receive_all(&mut one, "c-0", (500_000..=1_000_002).map(|step| step * 7919 % 1_000_003));
    assert_eq!(one.heard()[0].missing, [1_000_003]);
}

#[test]
fn layouts_follow_from_the_filter() {
    for (filter, topic, read) in [
        ("mqtt-malaria/+/data/#", "mqtt-malaria/c-1/data/17/100", Some(("c-1", 17))),
        ("mqtt-malaria/+/data/+/+", "mqtt-malaria/c-1/data/17/100", Some(("c-1", 17))),
        ("$share/all/mqtt-malaria/+/data/#", "mqtt-malaria/c-1/data/17/100", Some(("c-1", 17))),
        ("a/b/+/#", "a/b/c-1/17", Some(("c-1", 17))),
        ("+/+", "c-1/18446744073709551615", Some(("c-1", u64::MAX))),
        ("+/x/+/y", "c-1/x/17/y", Some(("c-1", 17))),
        // Malaria's own levels.
        ("#", "mqtt-malaria/c-1/data/17/100", Some(("c-1", 17))),
        ("mqtt-malaria/#", "mqtt-malaria/c-1/data/17/100", Some(("c-1", 17))),
        ("mqtt-malaria/c-1/data/+", "mqtt-malaria/c-1/data/17", Some(("c-1", 17))),
    ] {
        assert_eq!(TopicLayout::of(filter).read(topic), read, "{filter}");
    }
}

#[test]
fn checklist_46_topics_without_client_or_number_cannot_be_read() {
    let layout = TopicLayout::of("mqtt-malaria/+/data/#");
    for topic in [
        "",
        "mqtt-malaria",
        "mqtt-malaria/c-1/data",
        "mqtt-malaria/c-1/data/",
        "mqtt-malaria/c-1/data/x",
        "mqtt-malaria/c-1/data/+1",
        "mqtt-malaria/c-1/data/-1",
        "mqtt-malaria/c-1/data/18446744073709551616",
        "mqtt-malaria//data/1",
    ] {
        assert_eq!(layout.read(topic), None, "{topic}");
    }
}

proptest! {
    #[test]
    fn any_topic_and_filter_are_read_without_a_fault(filter in "[a+#$/0-9]{0,12}", topic in "[a/0-9]{0,20}") {
        if let Some((client, number)) = TopicLayout::of(&filter).read(&topic) {
            prop_assert!(topic.contains(client) && topic.contains(&number.to_string()));
        }
    }

    #[test]
    fn checklist_43_it_agrees_with_a_set(
        arrivals in prop::collection::vec((0u8..3, prop_oneof![0u64..150, 4000u64..4300, 8100u64..8300]), 0..600),
        messages in 100u64..8300,
    ) {
        let mut ledger = expecting(messages, 3);
        let (mut sets, mut again) = ([const { Vec::<u64>::new() }; 3].map(HashSet::<u64>::from_iter), [0; 3]);
        for (client, number) in arrivals {
            let expected = match () {
                () if number == 0 || number > messages => Seen::Foreign,
                () if sets[client as usize].insert(number) => Seen::New,
                () => {
                    again[client as usize] += 1;
                    Seen::Again
                }
            };
            prop_assert_eq!(ledger.receive(&format!("c-{client}"), number), expected);
        }
        for heard in ledger.heard() {
            let client: usize = heard.client_id[2..].parse().unwrap();
            prop_assert_eq!((heard.actual, heard.duplicate), (sets[client].len() as u64, again[client]));
            let missing: Vec<_> = (1..=messages).filter(|number| !sets[client].contains(number)).collect();
            prop_assert_eq!(heard.missing, missing);
        }
        prop_assert_eq!(ledger.received_new(), sets.iter().map(|set| set.len() as u64).sum::<u64>());
        prop_assert_eq!(ledger.duplicated(), again.iter().sum::<u64>());
        prop_assert_eq!(ledger.never_seen().1, sets.iter().filter(|set| set.is_empty()).count() as u64);
    }

    #[test]
    fn in_any_order_everything_is_complete(order in Just((1u64..=5000).collect::<Vec<_>>()).prop_shuffle()) {
        let mut ledger = expecting(5000, 1);
        receive_all(&mut ledger, "c-0", order);
        prop_assert!(ledger.is_complete());
        prop_assert_eq!(ledger.clients["c-0"].numbers.memory(), (0, 0));
    }

    #[test]
    fn with_few_pages_nothing_counts_twice(numbers in prop::collection::vec(1u64..40_000, 0..400)) {
        let (mut few, mut seen) = (Numbers::default(), HashSet::new());
        for number in numbers {
            let new = few.insert(number, 2);
            prop_assert!(!new || seen.insert(number), "{} is new twice", number);
            prop_assert!(few.memory().0 <= 2);
        }
        prop_assert_eq!(few.count(), seen.len() as u64);
    }
}
