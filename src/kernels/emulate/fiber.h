// A thread of execution that runs until it switches to another.
#pragma once
#include <cstdint>
#include <memory>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace emulation {

constexpr size_t STACK_BYTES = 1 << 16;

#ifdef __x86_64__

// Saves what a call must preserve, and continues where the other fiber did. ucontext would ask the kernel at every switch.
extern "C" void resnet_fiber_switch(void** save, void* load);
asm(R"(
.weak resnet_fiber_switch
.type resnet_fiber_switch, @function
resnet_fiber_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size resnet_fiber_switch, .-resnet_fiber_switch
)");

class Fiber {
 public:
  // Has it call `function`, which must not return, when it is first switched to.
  void begin(void (*function)()) {
    if (!stack_) stack_.reset(new char[STACK_BYTES]);
    void** top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack_.get()) + STACK_BYTES) & ~static_cast<uintptr_t>(15));
    // Where "ret" goes, on a stack that is aligned as after a call; then six registers.
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(function);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    pointer_ = top;
  }
  void switch_to(Fiber& other) { resnet_fiber_switch(&pointer_, other.pointer_); }

 private:
  void* pointer_ = nullptr;
  std::unique_ptr<char[]> stack_;
};

#else

class Fiber {
 public:
  void begin(void (*function)()) {
    if (!stack_) stack_.reset(new char[STACK_BYTES]);
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = STACK_BYTES;
    context_.uc_link = nullptr;
    makecontext(&context_, function, 0);
  }
  void switch_to(Fiber& other) { swapcontext(&context_, &other.context_); }

 private:
  ucontext_t context_;
  std::unique_ptr<char[]> stack_;
};

#endif

}  // namespace emulation
