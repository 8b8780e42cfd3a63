//! Gives every executable the run-time path of the libtorch it was linked with, so that it starts
//! without LD_LIBRARY_PATH, and tells the program which revision of the source it was built from.
//! Compiles the fused normalisation, the views of parameters, what joins processes through
//! libtorch's Gloo, and the emulator of CUDA kernels.

#[path = "build/stamp.rs"]
mod stamp;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of; a change here makes a build differ from its revision.
const SOURCES: [&str; 5] = ["src", "Cargo.toml", "Cargo.lock", "build.rs", "build"];

/// Variable with the revision of a source that is not a checkout.
const REVISION: &str = "RESNET_REPRO_REVISION";

fn main() {
    // torch-sys hands its library folder to direct dependents under this name; its own linker
    // arguments do not propagate.
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    match std::env::var("DEP_TCH_LIBTORCH_LIB") {
        Ok(folder) => {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
            compile_fused_norm(Path::new(&folder));
        }
        Err(_) => println!(
            "cargo::error=torch-sys did not say where libtorch is: run scripts/setup, then build again"
        ),
    }
    compile_emulator();
    compile_jpeg();
    // The source in an archive or a container has no history.
    println!("cargo::rerun-if-env-changed={REVISION}");
    let given = std::env::var(REVISION).ok().filter(|revision| !revision.is_empty());
    // Git appends to this file at every commit and checkout. A path that does not exist would make
    // every build a rebuild.
    let history = || git(&["rev-parse", "--git-path", "logs/HEAD"]);
    let history = if given.is_none() { history() } else { None };
    let history = history.filter(|path| Path::new(path).exists());
    for watched in SOURCES.map(str::to_string).into_iter().chain(history) {
        println!("cargo::rerun-if-changed={watched}");
    }
    let revision = given.or_else(|| git(&["rev-parse", "HEAD"]));
    let revision = revision.unwrap_or_else(|| "unknown".to_string());
    let changes = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat());
    println!("cargo::rustc-env=GIT_REVISION={revision}");
    println!("cargo::rustc-env=GIT_DIRTY={}", changes.is_some_and(|changes| !changes.is_empty()));
}

/// Compiles src/network/forward/fused: the kernels once an instruction set (the program chooses
/// when it runs), and what joins them to libtorch.
fn compile_fused_norm(libraries: &Path) {
    const SOURCES: &str = "src/network/forward/fused";
    let build = || {
        let mut build = cc::Build::new();
        // Wide vectors as arguments concern functions across files; all of these are in one.
        build.cpp(true).std("c++17").flag_if_supported("-Wno-psabi").opt_level(3);
        build
    };
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let root = std::env::var_os("LIBTORCH_INCLUDE")
        .map(PathBuf::from)
        .or_else(|| libraries.parent().map(Path::to_path_buf));
    let include = root.unwrap_or_default().join("include");
    if !include.join("ATen/ATen.h").is_file() {
        println!(
            "cargo::error={} is not there: set LIBTORCH to a libtorch 2.11.0 with its headers, or run scripts/setup",
            include.join("ATen/ATen.h").display()
        );
        return;
    }
    let arguments = PathBuf::from("src/network/forward/norm_arguments.h");
    let guarded = PathBuf::from("src/system/guarded.h");
    // libtorch's own OpenMP: a second one would have threads of its own.
    let mut norm = build();
    norm.file(format!("{SOURCES}/norm.cpp"))
        .includes([include.clone(), include.join("torch/csrc/api/include")])
        .flag("-fopenmp")
        .warnings(false);
    compile_once(
        &norm,
        "resnet_norm",
        Path::new(SOURCES),
        &[arguments.clone(), guarded.clone(), include.join("torch/headeronly/version.h")],
    );
    let x86 =
        std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "x86_64");
    // norm.cpp asks the processor for the same instructions.
    const AVX2: &[&str] = &["-mavx2", "-mfma", "-mbmi", "-mbmi2"];
    const AVX512: &[&str] = &[
        "-mavx2",
        "-mfma",
        "-mbmi",
        "-mbmi2",
        "-mavx512f",
        "-mavx512bw",
        "-mavx512cd",
        "-mavx512dq",
        "-mavx512vl",
    ];
    let levels: &[(&str, &[&str])] =
        &[("kernels_base", &[]), ("kernels_v3", AVX2), ("kernels_v4", AVX512)];
    for (name, flags) in &levels[..if x86 { 3 } else { 1 }] {
        let mut kernels = build();
        for flag in *flags {
            kernels.flag(flag);
        }
        kernels.define("KERNELS", Some(*name)).file(format!("{SOURCES}/kernels.cpp"));
        compile_once(&kernels, &format!("resnet_{name}"), Path::new(SOURCES), &[]);
    }
    let own = [PathBuf::from("src/kernels/parameters.h"), arguments, guarded.clone()];
    compile_function(&include, "resnet_own_norm", "src/network/forward/own/norm.cpp", &own);
    compile_function(&include, "resnet_views", "src/network/forward/views/views.cpp", &[guarded]);
    compile_gloo(&include);
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
    println!("cargo::rustc-link-lib=dylib=c10");
    match openmp(libraries) {
        Some(name) => println!("cargo::rustc-link-lib=dylib:+verbatim={name}"),
        None => println!("cargo::rustc-link-lib=dylib=gomp"),
    }
}

/// Compiles a function for libtorch's autograd against libtorch's headers and some of the project's.
fn compile_function(include: &Path, name: &str, source: &str, headers: &[PathBuf]) {
    let mut function = cc::Build::new();
    function
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .file(source)
        .includes([include.to_path_buf(), include.join("torch/csrc/api/include")])
        .warnings(false);
    let headers = [headers, &[include.join("torch/headeronly/version.h")]].concat();
    compile_once(&function, name, Path::new(source).parent().unwrap_or(Path::new(".")), &headers);
}

/// Compiles src/distributed/gloo.cpp against libtorch's headers and declarations of Gloo's.
fn compile_gloo(include: &Path) {
    const SOURCES: &str = "src/distributed";
    let declared = Path::new(SOURCES).join("gloo_declared");
    let mut gloo = cc::Build::new();
    gloo.cpp(true)
        .std("c++17")
        .opt_level(2)
        .file(format!("{SOURCES}/gloo.cpp"))
        .include(&declared)
        .includes([include.to_path_buf(), include.join("torch/csrc/api/include")])
        .warnings(false);
    let guarded = PathBuf::from("src/system/guarded.h");
    let headers =
        [guarded, declared.join("gloo/context.h"), include.join("torch/headeronly/version.h")];
    compile_once(&gloo, "resnet_gloo", Path::new(SOURCES), &headers);
}

/// Compiles the CUDA kernels for a CPU, on which tests run them.
fn compile_emulator() {
    const SOURCES: &str = "src/kernels";
    let emulator = PathBuf::from(format!("{SOURCES}/emulate"));
    let mut build = cc::Build::new();
    // A product and a sum must not become one operation unless the source says so. Maps are read
    // as words and as halves of them.
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .flag("-ffp-contract=off")
        .flag("-fno-strict-aliasing")
        .file(emulator.join("launch.cpp"))
        .warnings(false);
    match stamp::sources(&emulator) {
        Ok(headers) => compile_once(&build, "resnet_emulator", Path::new(SOURCES), &headers),
        Err(error) => println!("cargo::error={}: {error}", emulator.display()),
    }
}

/// Compiles a library of C++, unless that was done before from the same files in `folder`, the same
/// `headers` and with the same compiler: norm.cpp alone takes most of a build of the program.
fn compile_once(build: &cc::Build, name: &str, folder: &Path, headers: &[PathBuf]) {
    // Tells cargo too which environment variables the compiler depends on.
    let compiler = build.get_compiler();
    let version = Command::new(compiler.path()).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let mut described = vec![name.to_string(), version.unwrap_or_default()];
    described.push(format!("{compiler:?}"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let compiled = stamp::sources(folder).and_then(|mut sources| {
        sources.extend(headers.iter().filter(|header| header.is_file()).cloned());
        let key = stamp::key(&described, &sources)?;
        stamp::once(&out.join(format!("lib{name}.a")), &key, || build.compile(name))
    });
    match compiled {
        Ok(true) => {}
        // What `compile` tells cargo.
        Ok(false) => {
            println!("cargo::rustc-link-lib=static={name}");
            println!("cargo::rustc-link-search=native={}", out.display());
            println!("cargo::rustc-link-lib=stdc++");
        }
        Err(error) => println!("cargo::error={}: {error}", folder.display()),
    }
}

/// Compiles what calls libjpeg, and tells the program whether libjpeg has its assembly: without
/// nasm, mozjpeg-sys leaves it out without a word.
fn compile_jpeg() {
    let Some(folders) = std::env::var_os("DEP_JPEG_INCLUDE") else {
        println!("cargo::error=mozjpeg-sys did not say where its headers are");
        return;
    };
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    cc::Build::new()
        .file("src/dataset/imagenet/decoder/jpeg.c")
        .includes(&folders)
        .opt_level(3)
        .compile("resnet_jpeg");
    // What was built counts, not whether nasm is there now.
    let simd = folders.iter().any(|folder| {
        let header = std::fs::read_to_string(folder.join("jconfig.h")).unwrap_or_default();
        header.lines().any(|line| line.trim() == "#define WITH_SIMD 1")
    });
    println!("cargo::rustc-env=JPEG_ASSEMBLY={simd}");
}

/// File name of the OpenMP library that comes with libtorch.
fn openmp(libraries: &Path) -> Option<String> {
    let mut names = std::fs::read_dir(libraries)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.find(|name| name.starts_with("libgomp") && name.contains(".so"))
}

/// Output of a git command in the source folder, if git is there and it is a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}
