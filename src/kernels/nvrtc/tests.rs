//! The compiler where it is installed, and what needs none.

use super::*;

/// What NVRTC 13.0.88 says of a kernel that spills, one with shared memory, and one that calls a
/// function.
const LOG: &str = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z4manyILi100EEvPf' for 'sm_90'
ptxas info    : Function properties for _Z4manyILi100EEvPf
ptxas         .     328 bytes stack frame, 328 bytes spill stores, 324 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 328 bytes cumulative stack size
ptxas info    : Compile time = 23.436 ms
ptxas info    : Compiling entry function 'axpy' for 'sm_90'
ptxas info    : Function properties for axpy
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 1 barriers, 512 bytes smem
ptxas info    : Compile time = 3.488 ms
ptxas info    : Compiling entry function 'calling' for 'sm_90'
ptxas info    : Function properties for calling
ptxas         .     240 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers, 240 bytes cumulative stack size
ptxas info    : Compile time = 37.524 ms
ptxas info    : Function properties for _Z6helperPfi
ptxas         .     8 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads

";

const AXPY: Source = Source {
    name: "axpy.cu",
    text: "#include \"sum.h\"
extern \"C\" __global__ void axpy(float* y, const float* x, float a, int count) {
  __shared__ float turned[128];
  const int i = blockIdx.x * 128 + threadIdx.x;
  turned[threadIdx.x] = i < count ? x[i] : 0;
  __syncthreads();
  if (i < count) y[i] = sum(a * turned[threadIdx.x ^ 1], y[i]);
}
",
    headers: &[("sum.h", "__device__ float sum(float a, float b) { return a + b; }\n")],
};

/// The compiler, unless this machine has none.
macro_rules! installed {
    () => {
        match library() {
            Ok(nvrtc) => nvrtc,
            Err(reason) => return eprintln!("SKIPPED: {reason}"),
        }
    };
}

#[test]
fn the_log_tells_registers_spills_and_shared_memory_of_each_kernel() {
    let usage = |name: &str, registers, stack_bytes, spilled_bytes, shared_bytes| Usage {
        name: name.to_string(),
        registers,
        spilled_bytes,
        stack_bytes,
        shared_bytes,
    };
    let expected = [
        usage("_Z4manyILi100EEvPf", 32, 328, 652, 0),
        usage("axpy", 10, 0, 0, 512),
        usage("calling", 40, 248, 12, 0),
    ];
    assert_eq!(usages(LOG).unwrap(), expected);
    assert_eq!(usages("").unwrap(), []);
}

#[test]
fn a_log_without_the_numbers_is_an_error_and_not_no_spills() {
    for missing in ["Used 10", "0 bytes spill stores", "0 bytes spill loads"] {
        let message = usages(&LOG.replace(missing, "many")).unwrap_err().to_string();
        assert!(message.contains("registers and spills are not told"), "{message}");
    }
}

#[test]
fn the_first_error_of_a_log_is_told_and_not_a_warning_before_it() {
    let log = "a.cu(1): warning #177-D: variable \"error\" was declared but never referenced\n\
               a.cu(2): error: identifier \"foat\" is undefined\n  foat x;\n  ^\n\
               1 error detected in the compilation of \"a.cu\".\n";
    assert_eq!(first_error(log), Some("a.cu(2): error: identifier \"foat\" is undefined"));
    assert_eq!(
        first_error("\nptxas fatal   : out of space\n"),
        Some("ptxas fatal   : out of space")
    );
    assert_eq!(first_error("\n"), None);
}

#[test]
fn without_the_compiler_one_line_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let reason = load(Some(folder.path().into())).err().unwrap();
    assert!(
        reason.contains("scripts/setup --kernels")
            && reason.contains(VARIABLE)
            && reason.contains(BUILTINS),
        "{reason}"
    );
    assert_eq!(reason.lines().count(), 1, "{reason}");
    if let Err(reason) = library() {
        assert_eq!(compile(&AXPY, 90).unwrap_err().to_string(), reason);
    }
}

#[test]
fn what_was_kept_is_read_and_what_is_damaged_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache/kernels/key.cubin");
    let made = || Ok(b"machine code".to_vec());
    let not_made = || bail!("made though it was kept");
    assert_eq!(kept_or_made(&path, made).unwrap(), b"machine code");
    assert_eq!(kept_or_made(&path, not_made).unwrap(), b"machine code");
    let whole = std::fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 1;
        for damaged in [damaged.as_slice(), &whole[..position]] {
            std::fs::write(&path, damaged).unwrap();
            assert!(kept_or_made(&path, not_made).is_err(), "byte {position}");
        }
    }
    assert_eq!(kept_or_made(&path, made).unwrap(), b"machine code");
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_folder_that_cannot_be_written_stops_nothing_and_a_failure_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let made = || Ok(b"machine code".to_vec());
    // Below a file, and where a folder stands.
    for path in [file.join("kernels/key.cubin"), folder.path().to_path_buf()] {
        assert_eq!(kept_or_made(&path, made).unwrap(), b"machine code");
    }
    let path = folder.path().join("key.cubin");
    assert!(kept_or_made(&path, || bail!("does not compile")).is_err());
    assert!(!path.exists());
}

#[test]
fn machine_code_is_kept_under_all_that_it_depends_on() {
    let of = |source: &Source| key(source, &options(90), "13.0");
    let headers = [("sum.h", "other")];
    let joined = [("sum.hother", "")];
    let keys = [
        of(&AXPY),
        of(&Source { name: "other.cu", ..AXPY }),
        of(&Source { text: "other", ..AXPY }),
        of(&Source { headers: &headers, ..AXPY }),
        of(&Source { headers: &joined, ..AXPY }),
        of(&Source { headers: &[], ..AXPY }),
        key(&AXPY, &options(100), "13.0"),
        key(&AXPY, &options(90)[1..], "13.0"),
        key(&AXPY, &options(90), "13.1"),
    ];
    let distinct: std::collections::BTreeSet<&String> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn a_kernel_compiles_for_each_architecture_to_the_same_bytes_without_spills() {
    installed!();
    for architecture in [80, 90, 100] {
        let [first, again] = [(); 2].map(|()| compile(&AXPY, architecture).unwrap());
        assert!(first.cubin.starts_with(b"\x7fELF"));
        assert_eq!(first.cubin, again.cubin, "sm_{architecture}");
        let [kernel] = first.kernels.as_slice() else { panic!("{:?}", first.kernels) };
        assert_eq!((kernel.name.as_str(), kernel.spilled_bytes), ("axpy", 0));
        assert!((4..64).contains(&kernel.registers), "{kernel:?}");
        // Newer GPUs keep some for themselves.
        assert!((512..2048).contains(&kernel.shared_bytes), "{kernel:?}");
    }
}

#[test]
fn a_mistake_is_told_in_one_line_with_its_place() {
    installed!();
    // Cargo runs tests in a folder that holds the last of these files.
    let cases = [
        ("\n__global__ void k() { foat x; }", 90, "wrong.cu(2): error: identifier"),
        ("__global__ void k(int* p) { asm(\"bogus.u32 %0;\" : \"=r\"(*p)); }", 90, "'bogus'"),
        ("__global__ void k() {}", 42, "invalid value for --gpu-architecture"),
        ("\0", 90, "a zero byte"),
        ("#include \"README.md\"\n", 90, "could not open source file \"README.md\""),
    ];
    for (text, architecture, reason) in cases {
        let wrong = Source { name: "wrong.cu", text, headers: &[] };
        let message = format!("{:#}", compile(&wrong, architecture).unwrap_err());
        assert!(message.contains(reason) && message.starts_with("wrong.cu"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_kept_kernel_is_what_the_compiler_makes_and_a_second_start_reads_it() {
    installed!();
    let folder = tempfile::tempdir().unwrap();
    let compiled = compile(&AXPY, 90).unwrap().cubin;
    assert_eq!(kept(&AXPY, 90, folder.path()).unwrap(), compiled);
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    // Another content with its own hash shows that it was read.
    std::fs::write(file, format!("kept{}", sha256(b"kept"))).unwrap();
    assert_eq!(kept(&AXPY, 90, folder.path()).unwrap(), b"kept");
}
