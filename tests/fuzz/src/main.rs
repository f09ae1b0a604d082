//! `fuzz list`; `fuzz seeds NAME FOLDER`; `fuzz NAME [options of libFuzzer] FOLDER`: one decoder with bytes that coverage leads.

use std::ffi::{CString, c_char, c_int};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use causeway_tests::decoders::{DECODERS, Decoder};
use libfuzzer_sys as _;

unsafe extern "C" {
    /// libFuzzer's own door for programs with a `main` of theirs (FuzzerInterface.h).
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        run: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

static CHOSEN: OnceLock<Decoder> = OnceLock::new();

extern "C" fn one(data: *const u8, length: usize) -> c_int {
    let bytes = match length {
        0 => &[][..],
        // SAFETY: libFuzzer hands over `length` bytes that live until this returns
        _ => unsafe { std::slice::from_raw_parts(data, length) },
    };
    if let Some(decoder) = CHOSEN.get() {
        (decoder.run)(bytes);
    }
    0
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.get(1..).unwrap_or_default() {
        ["list"] => DECODERS
            .iter()
            .for_each(|decoder| println!("{}", decoder.name)),
        ["seeds", name, folder] => return write(name, Path::new(folder)),
        [name, ..] => return fuzz(name, &arguments),
        [] => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: fuzz list | fuzz seeds NAME FOLDER | fuzz NAME [options of libFuzzer] FOLDER"
    );
    ExitCode::from(2)
}

fn decoder(name: &str) -> Option<Decoder> {
    DECODERS.into_iter().find(|decoder| decoder.name == name)
}

fn write(name: &str, folder: &Path) -> ExitCode {
    let Some(decoder) = decoder(name) else {
        return usage();
    };
    for (number, seed) in (decoder.seeds)().iter().enumerate() {
        let file = std::fs::File::create(folder.join(format!("seed-{number}")));
        if file.and_then(|mut file| file.write_all(seed)).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn fuzz(name: &str, arguments: &[String]) -> ExitCode {
    let Some(decoder) = decoder(name) else {
        return usage();
    };
    CHOSEN.set(decoder).ok();
    // a panic is a finding, also where somebody would catch it
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        std::process::abort();
    }));
    let [program, _, options @ ..] = arguments else {
        return usage();
    };
    let words = std::iter::once(program).chain(options);
    let words: Vec<CString> = words
        .filter_map(|word| CString::new(word.as_str()).ok())
        .collect();
    let mut pointers: Vec<*mut c_char> =
        words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    let mut count = c_int::try_from(pointers.len()).unwrap_or(0);
    pointers.push(std::ptr::null_mut());
    let mut first = pointers.as_mut_ptr();
    // SAFETY: count, pointers and words live until it returns; it does not write into the words
    let ended = unsafe { LLVMFuzzerRunDriver(&mut count, &mut first, one) };
    ExitCode::from(u8::try_from(ended).unwrap_or(1))
}
