//! The program that libFuzzer drives: `ALCOVE_FUZZ` names the check that gets its input. See run.sh, which starts it.

#![no_main]

mod checks;

use std::sync::LazyLock;

static CHECK: LazyLock<checks::Check> = LazyLock::new(|| {
    let name = std::env::var("ALCOVE_FUZZ").unwrap_or_default();
    checks::named(&name)
        .unwrap_or_else(|| panic!("ALCOVE_FUZZ={name} is none of {:?}", checks::names().collect::<Vec<_>>()))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| CHECK(input));
