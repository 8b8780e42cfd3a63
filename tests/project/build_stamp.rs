//! The build step that keeps the C++ kernels from being compiled at every change of the program.

#[path = "../../build/stamp.rs"]
mod stamp;

use std::path::Path;

#[test]
fn kernels_are_compiled_again_for_other_sources_or_another_compiler_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let library = folder.path().join("libkernels.a");
    let compiled = |flags: &str| {
        let sources = stamp::sources(folder.path()).unwrap();
        let sources: Vec<_> = sources
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "cpp" || ending == "h"))
            .collect();
        let key = stamp::key(&["c++".to_string(), flags.to_string()], &sources).unwrap();
        stamp::once(&library, &key, || std::fs::write(&library, "").unwrap()).unwrap()
    };
    write("kernels.cpp", "int one() { return 1; }");
    assert!(compiled("-O3") && !compiled("-O3"));
    // The Rust beside it changes often.
    write("mod.rs", "//! Other words.");
    assert!(!compiled("-O3"));
    write("kernels.cpp", "int one() { return 2; }");
    assert!(compiled("-O3") && !compiled("-O3"));
    write("new.h", "");
    assert!(compiled("-O3") && !compiled("-O3"));
    assert!(compiled("-O2") && !compiled("-O2"));
    std::fs::remove_file(&library).unwrap();
    assert!(compiled("-O2"), "the library is not there");
}

#[test]
fn the_kernels_sources_are_all_that_is_not_rust_in_their_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/network/forward/fused");
    let names: Vec<String> = stamp::sources(&folder)
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(names.contains(&"norm.cpp".to_string()), "{names:?}");
    assert!(names.contains(&"kernels.cpp".to_string()), "{names:?}");
    assert!(names.iter().all(|name| !name.ends_with(".rs")), "{names:?}");
}
