//! Tells the program what it was built from.

use std::process::Command;

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MALARIA_COMMIT");
    // Whoever tries things does not build everything anew for each commit.
    let handed_out = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = std::env::var("MALARIA_COMMIT").ok().or_else(|| {
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|_| handed_out)?;
        println!("cargo::rerun-if-changed={log}");
        git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
    });
    println!("cargo::rustc-env=MALARIA_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=MALARIA_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
