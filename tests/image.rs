//! The image maker: the same input gives the same image, and a binary that could not start in it is refused.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `PT_INTERP`: the header of a binary that needs a loader.
const INTERPRETER: u32 = 3;
/// `PT_LOAD`.
const LOAD: u32 = 1;

/// The smallest x86-64 ELF file that says what kinds of program headers it has.
fn binary(headers: &[u32]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[18..20].copy_from_slice(&62u16.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[54..56].copy_from_slice(&56u16.to_le_bytes());
    file[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_le_bytes());
    for kind in headers {
        file.extend(kind.to_le_bytes());
        file.extend([0; 52]);
    }
    file
}

fn make(folder: &Path, name: &str, content: &[u8]) -> (Output, PathBuf) {
    let (source, out) = (folder.join(name), folder.join(format!("{name}.tar")));
    fs::write(&source, content).unwrap();
    let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/image.py");
    let made = Command::new("python3").arg(maker).arg(&out).arg("--binary").arg(&source).output().unwrap();
    (made, out)
}

#[test]
fn the_same_binary_gives_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let images = ["first", "second"].map(|name| {
        let (made, out) = make(folder.path(), name, &binary(&[LOAD]));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        (fs::read(out).unwrap(), String::from_utf8(made.stdout).unwrap().split(' ').nth(2).map(str::to_owned))
    });
    assert!(images[0] == images[1], "two images of one binary differ");
    let (other, _) = make(folder.path(), "other", &binary(&[LOAD, LOAD]));
    let digest = String::from_utf8(other.stdout).unwrap().split(' ').nth(2).map(str::to_owned);
    assert!(digest.is_some() && digest != images[0].1);
}

#[test]
fn the_image_is_of_nobody_and_holds_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (made, out) = make(folder.path(), "alcove", &binary(&[LOAD]));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let version = env!("CARGO_PKG_VERSION");
    let archive = String::from_utf8_lossy(&fs::read(out).unwrap()).into_owned();
    for expected in [
        format!("\"io.containerd.image.name\":\"ghcr.io/alcove-dev/alcove:{version}\""),
        "\"User\":\"65532:65532\"".into(),
        "\"Entrypoint\":[\"/alcove\"]".into(),
        "\"architecture\":\"amd64\"".into(),
    ] {
        assert!(archive.contains(&expected), "{expected}");
    }
    assert!(!archive.contains("bin/sh"));
}

#[test]
fn what_would_not_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut of_no_machine = binary(&[LOAD]);
    of_no_machine[18] = 1;
    let mut large = binary(&[LOAD]);
    large.resize(30_000_001, 0);
    for (content, expected) in [
        (binary(&[LOAD, INTERPRETER]), "is not linked statically"),
        (b"#!/bin/sh\n".to_vec(), "is no 64-bit ELF binary"),
        (Vec::new(), "is no 64-bit ELF binary"),
        (of_no_machine, "is for no architecture that images are made for"),
        (large, "30000000 are the most"),
    ] {
        let (made, _) = make(folder.path(), "alcove", &content);
        let error = String::from_utf8(made.stderr).unwrap();
        assert!(
            !made.status.success() && error.starts_with("image.py: ") && error.contains(expected),
            "{error}"
        );
    }
}

/// Where rustc keeps lld, which alone can lay out a program.
fn lld() -> PathBuf {
    let root = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let root = PathBuf::from(String::from_utf8(root).unwrap().trim());
    root.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld")
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_a_tenant_runs_stands_first_in_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let deps = folder.path().join("release/deps");
    fs::create_dir_all(&deps).unwrap();
    let (source, out) = (folder.path().join("alcove.c"), deps.join("alcove-0123456789abcdef"));
    let functions = "int seldom(int a) { return a + 1; }\nint never(int a) { return a + 2; }\nint often(int a) { return a + 3; }\n";
    fs::write(
        &source,
        format!("{functions}int main(int a, char **b) {{ return seldom(a) + often(a) + never(a); }}\n"),
    )
    .unwrap();
    // As rustc would call it, with a list of two parts: what is named first comes first, names that are gone are passed over.
    let script = "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n\
        import cc, pathlib\n\
        text = f'# why\\n[rest]\\nc: {cc.digest(\"often\")} {cc.digest(\"gone\")}\\n[load]\\nc: {cc.digest(\"seldom\")}\\n'\n\
        cc.lay_out(sys.argv[3:], pathlib.Path(sys.argv[2]), text)";
    let linked = Command::new("python3")
        .args(["-c", script])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"))
        .arg(&out)
        .args(["-O0", "-ffunction-sections", "-fuse-ld=lld", "-Wl,--strip-debug"])
        .arg(format!("-B{}", lld().display()))
        .args([source.as_os_str(), "-o".as_ref(), out.as_os_str()])
        .output()
        .unwrap();
    assert!(linked.status.success(), "{}", String::from_utf8_lossy(&linked.stderr));
    let listed = Command::new("nm").arg("--numeric-sort").arg(&out).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let found: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .filter(|name| ["seldom", "never", "often"].contains(name))
        .collect();
    assert_eq!(found, ["often", "seldom", "never"], "{listed}");
    assert!(folder.path().join("release/alcove.symbols").exists());
}
