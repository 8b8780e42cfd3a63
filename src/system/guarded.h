#pragma once
// What every library behind a C interface does with exceptions. Each is one source file, and so has one text.
#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace {

// Of this thread's last failure.
thread_local std::string last_error;

// Does `work`; what it throws becomes `failed`, because an exception must not reach the caller's language.
template <class T, class Work>
T guarded(T failed, Work&& work) noexcept {
  try {
    return work();
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown error";
  }
  return failed;
}

// Whether `work` was done.
template <class Work>
bool done(Work&& work) noexcept {
  return guarded(false, [&] {
    work();
    return true;
  });
}

}  // namespace
