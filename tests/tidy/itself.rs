//! The rules see what they are to see: each is shown sources that break it.

use super::names::names;
use super::rules::{self, FLOORS, functions};
use super::source::Source;
use std::collections::BTreeSet;

/// The lines on which `rule` finds the library's file at `module` broken.
fn lines(rule: fn(&Source) -> Vec<String>, module: &[&str], text: &str) -> Vec<usize> {
    let source = Source::new("src/a.rs", module, false, text);
    let line = |message: &String| {
        let (path, rest) = message.split_once(':').unwrap();
        assert_eq!(path, "src/a.rs");
        rest.split_once(':').unwrap().0.parse().unwrap()
    };
    rule(&source).iter().map(line).collect()
}

#[test]
fn all_of_the_project_is_read() {
    let sources = Source::all();
    let beneath = |folder: &str| sources.iter().filter(|source| source.path.starts_with(folder)).count();
    assert!(beneath("src/") > 150 && beneath("tests/") > 40 && beneath("benches/") > 5, "{}", sources.len());
    assert!(sources.iter().any(|source| source.path == "src/load/payload/tests.rs" && source.is_test));
    assert!(sources.iter().any(|source| source.path == "src/load/payload.rs" && !source.is_test));
    let names: Vec<_> = sources.iter().flat_map(names).collect();
    assert!(names.iter().filter(|name| name.rooted().is_some()).count() > 500, "{} names", names.len());
    let functions = sources.iter().map(|source| functions(source.tokens.clone()).len()).sum::<usize>();
    assert!(functions > 2000, "{functions} functions");
    let houses: BTreeSet<_> = sources.iter().filter_map(Source::house).collect();
    assert!(houses.len() > 15 && houses.iter().all(|house| rules::floor(house).is_some()), "{houses:?}");
}

#[test]
fn every_module_has_one_floor() {
    let modules: BTreeSet<_> = FLOORS.iter().copied().flatten().collect();
    assert_eq!(modules.len(), FLOORS.iter().map(|floor| floor.len()).sum::<usize>());
}

#[test]
fn imports_upwards_and_sideways_are_seen() {
    for (module, text) in [
        (&["load"][..], "use crate::engine::Io;"),
        (&["load"], "use crate::{\n    clock::Nanos, engine::{self, Io}};"),
        (&["load"], "use super::engine;"),
        (&["load"], "use super::*;"),
        (&["load"], "use crate::*;"),
        (&["load", "size"], "use super::super::run;"),
        (&["load", "size"], "mod deeper { use super::super::super::run::Target; }"),
        (&["load"], "fn f() { let x = crate::engine::now(); }"),
        (&["load"], "fn f() { println!(\"{}\", crate::engine::now()); }"),
        (&["load"], "fn f(x: &crate::engine::Io<'_>) {}"),
        (&["load"], "impl crate::engine::App for X {}"),
        (&["load"], "pub(in crate::engine) struct X;"),
        (&["load"], "#[derive(crate::engine::X)] struct X;"),
        (&["load"], "#[cfg(not(test))] use crate::engine::Io;"),
        (&["load"], "use crate::nowhere::X;"),
        (&["nowhere"], "use crate::clock::X;"),
        (&["run"], "use crate::fleet::X;"),
        (&["stats"], "use crate::wire::X;"),
        (&["transport"], "use malaria_bench::load::X;"),
        (&["report"], "use crate::experiment::X;"),
        (&["engine"], "use crate::stage::X;"),
    ] {
        assert_eq!(lines(rules::floors, module, text).len(), 1, "{text}");
    }
    assert_eq!(lines(rules::floors, &["load"], "\n\nuse crate::{\n    clock,\n    run};"), [5]);
}

#[test]
fn imports_downwards_and_at_home_are_fine() {
    for (module, text) in [
        (&["load"][..], "use crate::{clock::Nanos, load::{Stamp, *}, wire};"),
        (&["load"], "use self::size::*; use size::X; use std::fmt; mod tests { use super::*; }"),
        (&["load", "size"], "use super::{Stamp, *}; pub(super) fn f() {} pub(crate) fn g() {}"),
        (&["load"], "// use crate::engine::Io;\n/// [`crate::engine`]\nfn f() { g(\"crate::engine\"); }"),
        (
            &["load"],
            "#[cfg(test)] use crate::engine::Io; #[cfg(test)] mod t { use crate::run; } use crate::wire;",
        ),
        (&["load"], "fn f() { #[cfg(test)] use crate::{engine::Io}; }"),
        (&["cli"], "use crate::{clock, fleet, gate, run};"),
        (&[], "pub mod engine; use crate::engine::X;"),
    ] {
        assert!(lines(rules::floors, module, text).is_empty(), "{text}");
    }
}

#[test]
fn sockets_threads_and_clocks_are_seen() {
    for text in [
        "use std::net::TcpStream;",
        "use std::net::{IpAddr,\nUdpSocket};",
        "use std::net;",
        "use std::{fmt, thread};",
        "use std::*;",
        "use std::net::*;",
        "use std::time::Instant;",
        "use std::time::{Duration, SystemTime};",
        "fn f() { std::thread::sleep(x) }",
        "fn f() { thread::sleep(x) }",
        "fn f() { std::fs::read(x) }",
        "fn f() { println!(\"{}\", std::process::id()) }",
        "use std::os::fd::OwnedFd;",
        "fn f() -> libc::c_int { 0 }",
        "use io_uring::IoUring;",
        "use crate::clock::{Nanos, now};",
        "use crate::clock::*;",
        "fn f() { clock::now() }",
    ] {
        for module in [&["wire"][..], &["client"], &["load", "size"], &["crew"], &["units"], &["transport"]] {
            assert_eq!(lines(rules::sans_io, module, text).len(), 1, "{module:?}: {text}");
        }
        for module in [&["clock"][..], &["cpu"], &["engine"], &["stage"], &["cli"]] {
            assert!(lines(rules::sans_io, module, text).is_empty(), "{module:?}: {text}");
        }
    }
}

#[test]
fn times_and_addresses_are_no_clocks_and_sockets() {
    for text in [
        "use std::net::{IpAddr, SocketAddr}; use std::time::{Duration, UNIX_EPOCH};",
        "use crate::clock::{Nanos, SECOND}; fn f(now: Nanos) {}",
        "#[cfg(test)] mod tests { use std::time::Instant; }",
        "/// std::thread\nfn process() { self.process(\"Instant\") }",
    ] {
        assert!(lines(rules::sans_io, &["crew"], text).is_empty(), "{text}");
    }
}

#[test]
fn long_functions_and_files_are_seen() {
    let body = |lines: usize| "\n".repeat(lines - 1);
    for head in
        ["fn f()", "pub const fn f<T>(x: [u8; 3]) -> T where T: X", "impl X { fn f(&self)", "m! { fn f()"]
    {
        let text = |lines| {
            format!("\n{head} {{{}}}{}", body(lines), &"}"[..usize::from(head.matches('{').count() == 1)])
        };
        assert_eq!(lines(rules::sizes, &["load"], &text(71)), [2], "{head}");
        assert!(lines(rules::sizes, &["load"], &text(70)).is_empty(), "{head}");
    }
    assert_eq!(lines(rules::sizes, &[], &format!("fn f() {{ fn g() {{{}}} }}", body(71))).len(), 2);
    assert!(lines(rules::sizes, &[], &format!("trait X {{ fn f(); }} struct Y {{{}}}", body(80))).is_empty());
    assert_eq!(lines(rules::sizes, &[], &"\n".repeat(601)), [601]);
    assert!(lines(rules::sizes, &[], &"\n".repeat(600)).is_empty());
}

#[test]
fn what_is_unsafe_is_seen_where_it_may_not_be() {
    for text in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe impl Send for X {}",
        "#[cfg(test)] mod t { fn f() { m!(unsafe { g() }) } }",
        "#[unsafe(no_mangle)] fn f() {}",
    ] {
        assert_eq!(lines(rules::safe, &["load"], text), [1], "{text}");
        assert!(lines(rules::safe, &["engine", "ring"], text).is_empty(), "{text}");
    }
    assert!(lines(rules::safe, &["load"], "// unsafe\n/// unsafe\nfn f() { g(\"unsafe\") }").is_empty());
}

#[test]
fn public_items_without_a_comment_are_seen() {
    for text in [
        "pub fn f() {}",
        "#[inline] pub const fn f() {}",
        "pub struct X { pub field: u8 }",
        "pub struct X(pub u8);",
        "pub enum X { A }",
        "pub const X: [u8; 1] = { [1] };",
        "pub type X = u8;",
        "impl X { pub fn f(&self) {} }",
        "impl<T> X<T> { /// Said.\n fn g() {} pub async fn f() {} }",
        "/// Said.\npub trait X { fn f(&self); }",
        "/// Said.\npub trait X { /// Said.\n const A: u8; fn f(&self) {} }",
        "mod deeper { pub static X: u8 = 1; }",
        "/// Said.\npub fn f() {} pub fn g() {}",
    ] {
        assert_eq!(lines(rules::documented, &["crew", "link"], text).len(), 1, "{text}");
        assert!(lines(rules::documented, &["cli"], text).is_empty(), "{text}");
    }
    for text in [
        "/// Said.\n#[derive(Debug)]\npub struct X { pub field: u8 }",
        "/// Said.\npub enum X { A }",
        "impl X { pub fn new() -> X { X } }",
        "fn f() {} pub(super) struct X; pub(crate) fn g() {} pub use x::{Y, Z}; pub mod z;",
        "trait X { fn f(&self); } impl X for Y { const A: u8 = 1; fn f(&self) {} }",
        "#[cfg(test)] pub fn f() {}",
        "#[cfg(test)] mod tests { pub fn f() {} }",
    ] {
        assert!(lines(rules::documented, &["crew"], text).is_empty(), "{text}");
    }
}
