use super::*;
use std::collections::{BTreeSet, HashSet};

const A: Purpose = Purpose::named("a");

#[test]
fn what_is_drawn_is_fixed_for_all_time() {
    // The first numbers of SplitMix64 from 0, as published with it, and FNV-1a's of "a" (RFC 9923).
    assert_eq!(
        [0, 1, 2].map(|place| number(0, place)),
        [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]
    );
    assert_eq!(A, Purpose(0xaf63_dc4c_8601_ec8c));
    // Pinned: a change would make old seeds useless.
    let mut draw = Draw::of(1, A, 2, 3);
    assert_eq!([draw.bits(), draw.bits()], [15_898_997_617_450_439_333, 883_621_603_900_049_871]);
    assert_eq!(stream(1, "a", 3).bits(), 15_184_434_552_834_732_778);
    assert_eq!((draw.below(1000), draw.up_to(1000), draw.whole(-500, 499)), (169, 342, -366));
    // Logarithms and cosines may differ in the last bit from machine to machine.
    let expected = [0.45792337849291687, 0.6379520072634218, 0.22307643173860198];
    let found = [draw.unit(), draw.normal(), draw.exponential()];
    assert!(
        found.iter().zip(expected).all(|(found, expected): (&f64, f64)| (found - expected).abs() < 1e-12),
        "{found:?}"
    );
    let mut bytes = [0; 10];
    draw.fill(&mut bytes);
    assert_eq!(bytes, [83, 253, 210, 127, 69, 9, 180, 78, 66, 37]);
}

#[test]
fn every_part_of_the_key_counts() {
    let b = Purpose::named("b");
    let keys = [(1, A, 0, 0), (0, b, 0, 0), (0, A, 1, 0), (0, A, 0, 1), (0, A, 0, 0)];
    let firsts: HashSet<_> = keys.map(|(s, p, client, n)| Draw::of(s, p, client, n).bits()).into();
    assert_eq!(firsts.len(), keys.len());
    // No message has the numbers of its neighbours a place on.
    let numbers = (0..100).flat_map(|n| {
        let mut draw = Draw::of(0, A, 0, n);
        [draw.bits(), draw.bits(), draw.bits()]
    });
    assert_eq!(HashSet::<u64>::from_iter(numbers).len(), 300);
}

#[test]
fn choices_are_even_over_messages_and_over_clients() {
    let mut counts = [[0u32; 7]; 2];
    for n in 0..70_000 {
        counts[0][Draw::of(5, A, 9, n.into()).below(7) as usize] += 1;
        counts[1][Draw::of(5, A, n, 9).below(7) as usize] += 1;
    }
    // Five standard deviations of a binomial count around 10,000.
    assert!(counts.as_flattened().iter().all(|&count| count.abs_diff(10_000) < 5 * 93), "{counts:?}");
}

#[test]
fn numbers_have_their_distributions() {
    const N: usize = 100_000;
    let (mut units, mut normals, mut squares, mut exponentials) = (0.0, 0.0, 0.0, 0.0);
    for sequence in 0..N as u64 {
        let mut draw = Draw::of(5, A, 0, sequence);
        units += draw.unit();
        let normal = draw.normal();
        assert!(normal.abs() <= Draw::FURTHEST);
        normals += normal;
        squares += normal * normal;
        exponentials += draw.exponential();
    }
    let n = N as f64;
    // Four standard deviations of each sum.
    assert!((units / n - 0.5).abs() < 4.0 * (1.0 / 12.0 / n).sqrt());
    assert!((normals / n).abs() < 4.0 / n.sqrt());
    assert!((squares / n - 1.0).abs() < 4.0 * (2.0 / n).sqrt());
    assert!((exponentials / n - 1.0).abs() < 4.0 / n.sqrt());
}

#[test]
fn the_ends_of_all_ranges_are_reached_and_not_passed() {
    // The state from which SplitMix64 gives only ones, and that from which it gives only zeros.
    let (mut most, mut least) = (Draw(unmixed(u64::MAX)), Draw(unmixed(0)));
    let draw = |of: fn(&mut Draw) -> u64| [of(&mut least.clone()), of(&mut most.clone())];
    assert_eq!(draw(Draw::bits), [0, u64::MAX]);
    assert_eq!(draw(|draw| draw.below(3)), [0, 2]);
    assert_eq!(draw(|draw| draw.up_to(3)), [0, 3]);
    assert_eq!(draw(|draw| draw.up_to(u64::MAX)), [0, u64::MAX]);
    assert!(most.clone().unit() < 1.0 && most.exponential() < 37.0);
    assert_eq!((least.clone().unit(), least.exponential()), (0.0, 0.0));
}

#[test]
fn whole_numbers_reach_both_ends_and_no_further() {
    let mut draw = Draw::of(1, A, 1, 1);
    let seen: BTreeSet<_> = (0..1000).map(|_| draw.whole(-2, 2)).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-2, -1, 0, 1, 2]);
    assert_eq!(draw.whole(i64::MAX, i64::MAX), i64::MAX);
    let wide = (0..100).map(|_| draw.whole(i64::MIN, i64::MAX)).filter(|n| *n < 0).count();
    assert!((20..80).contains(&wide), "{wide}");
}

/// The state from which the first number is `number`: SplitMix64's steps backwards.
fn unmixed(number: u64) -> u64 {
    // The inverses of the two factors modulo 2^64.
    let z = number ^ (number >> 31) ^ (number >> 62);
    let z = z.wrapping_mul(0x3196_42b2_d24d_8ec3);
    let z = z ^ (z >> 27) ^ (z >> 54);
    let z = z.wrapping_mul(0x96de_1b17_3f11_9089);
    (z ^ (z >> 30) ^ (z >> 60)).wrapping_sub(GOLDEN)
}
