//! `tools/image`, with stand-ins for everything that it calls.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Puts a program of this name into `folder`: a shell script.
fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Runs it where of the builders those that are named in `answering` work; the others are installed only.
fn image(answering: &[&str]) -> (TempDir, Output) {
    let dir = TempDir::new().unwrap();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["docker", "podman", "buildah"] {
        let info = i32::from(!answering.contains(&name));
        let build = "for folder; do :; done; ls \"$folder\" > \"$SEEN/context\"";
        let script = format!("[ $1 = info ] && exit {info}\necho {name} \"$@\" >> \"$SEEN/builds\"\n{build}");
        program(&bin, name, &script);
    }
    let target = dir.path().join("target");
    let metadata = format!("[ $1 = metadata ] && echo '{{\"target_directory\":\"{}\"}}'", target.display());
    let built = format!("{}/$(uname -m)-unknown-linux-musl/dist", target.display());
    let build = format!("[ $1 = build ] || exit 0\nmkdir -p \"{built}/deps\"");
    let copies = format!("touch \"{built}/malaria\" \"{built}/malaria-bench\" \"{built}/deps/huge\"");
    program(&bin, "cargo", &format!("{metadata}\n{build}\n{copies}"));
    program(&bin, "rustup", "");
    program(&bin, "musl-gcc", "");
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/image"))
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("SEEN", dir.path())
        .output()
        .unwrap();
    (dir, output)
}

/// The docker client without its daemon is no builder, and only the programs go into the image.
#[test]
fn the_image_is_built_by_a_builder_that_works() {
    for (answering, builder) in [
        (&["docker", "buildah"][..], "docker"),
        (&["podman", "buildah"], "podman"),
        (&["buildah"], "buildah"),
    ] {
        let (dir, output) = image(answering);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(
            read("builds").starts_with(&format!("{builder} build --tag malaria-bench ")),
            "{answering:?}"
        );
        assert_eq!(read("builds").lines().count(), 1);
        assert_eq!(read("context"), "malaria\nmalaria-bench\n");
    }
}

#[test]
fn without_a_builder_nothing_is_built() {
    let (dir, output) = image(&[]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("docker") && said.contains("podman") && said.contains("buildah"), "{said}");
    assert!(!dir.path().join("builds").exists() && !dir.path().join("target").exists());
}
