// Runs a kernel on a CPU. Each thread of a block is a fiber, which runs until a barrier; an operation of a warp is done when all its 32
// lanes have come to it, with the layouts of the PTX manual.
//
// Wrong programs are found: barriers and operations of a warp that some threads miss, shared memory read before it is written (it starts
// as NaN), copies not waited for (they are done at the wait), and results that depend on who is first (run in several orders, which must
// give the same bits). Not found: what the memory model leaves open between blocks, and how long anything takes.
#pragma once
#include <cmath>
#include <cstring>

#include "machine.h"

#define DEVICE static inline
#define METHOD inline
#define KERNEL(blocks) static void

DEVICE u8* shared() { return emulation::block.shared; }
DEVICE int thread_id() { return emulation::block.now->id; }
DEVICE int block_id() { return emulation::block.id; }
DEVICE int block_row() { return emulation::block.row; }
DEVICE int block_count() { return emulation::block.count; }
DEVICE int block_rows() { return emulation::block.rows; }
DEVICE void sync_block() { emulation::pause_as(emulation::State::AT_BARRIER); }
DEVICE float shuffle_xor(float value, int mask) {
  emulation::block.now->at.value = value;
  emulation::block.now->at.mask = mask;
  return emulation::join(emulation::Operation::SHUFFLE).value;
}
DEVICE void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  auto& at = emulation::block.now->at;
  at.c = c;
  at.a = a;
  at.b[0] = b0;
  at.b[1] = b1;
  emulation::join(emulation::Operation::MULTIPLY);
}
template <bool TRANSPOSED>
DEVICE void load_matrices(u32 (&r)[4], const void* row) {
  emulation::block.now->at.row = row;
  emulation::block.now->at.result = r;
  emulation::join(TRANSPOSED ? emulation::Operation::LOAD_TRANSPOSED : emulation::Operation::LOAD);
}
DEVICE float as_float(u32 bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
DEVICE float fused(float a, float b, float c) { return std::fmaf(a, b, c); }
DEVICE float exponential(float x) { return std::exp(x); }
DEVICE float logarithm(float x) { return std::log(x); }
DEVICE float load_fresh(const float* from) { return *from; }
DEVICE u32 load_fresh(const u32* from) { return *from; }
DEVICE u32 bfloat16_of(float x) {
  u32 bits;
  std::memcpy(&bits, &x, 4);
  return x == x ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : 0x7fff;
}
DEVICE u32 pack(float low, float high) { return bfloat16_of(low) | bfloat16_of(high) << 16; }
DEVICE void copy_ahead(void* to, const void* from) { emulation::block.now->copies.push_back({to, from}); }
DEVICE void wait_for_copies() {
  for (const auto& copy : emulation::block.now->copies) std::memcpy(copy.to, copy.from, 16);
  emulation::block.now->copies.clear();
}
DEVICE void wait_for_kernel_before() {}
DEVICE void let_next_kernel_start() {}
DEVICE bool is_last_block(u32* counter, int count) {
  // Blocks run one after the other, so the first thread's answer is still there when the others read it.
  static thread_local bool last;
  sync_block();
  if (thread_id() == 0) {
    last = ++*counter == static_cast<u32>(count);
    if (last) *counter = 0;
  }
  sync_block();
  return last;
}
