// Kernels with one mistake each, which the emulator must find, and one without.
#pragma once
#include "../tile.h"

struct Mistake {
  const float* from;  // [THREADS]
  float* to;          // [THREADS]
};

// Each thread takes what its neighbour wrote.
DEVICE void exchange(const Mistake& m, bool barrier) {
  float* memory = (float*)shared();
  memory[thread_id()] = m.from[thread_id()];
  if (barrier) sync_block();
  m.to[thread_id()] = memory[(thread_id() + 1) % THREADS];
}

KERNEL(1) no_mistake(Mistake m) { exchange(m, true); }
KERNEL(1) missing_barrier(Mistake m) { exchange(m, false); }
KERNEL(1) missed_barrier(Mistake m) {
  exchange(m, true);
  if (thread_id() > 0) sync_block();
}
KERNEL(1) copy_not_awaited(Mistake m) {
  float* memory = (float*)shared();
  if (thread_id() % 4 == 0) copy_ahead(memory + thread_id(), m.from + thread_id());
  sync_block();
  m.to[thread_id()] = memory[(thread_id() + 1) % THREADS];
  wait_for_copies();
}
KERNEL(1) copy_never_awaited(Mistake m) {
  exchange(m, true);
  copy_ahead(shared() + thread_id() * 16, m.from + thread_id() / 4 * 4);
}
KERNEL(1) divergent_warp(Mistake m) {
  const float value = m.from[thread_id()];
  u32 words[4];
  if (thread_id() % 2) m.to[thread_id()] = shuffle_xor(value, 1);
  else load_matrices<false>(words, shared());
}
KERNEL(1) unwritten_memory(Mistake m) {
  float* memory = (float*)shared();
  if (thread_id() > 0) memory[thread_id()] = m.from[thread_id()];
  sync_block();
  m.to[thread_id()] = memory[thread_id()];
}
KERNEL(1) past_the_end(Mistake m) {
  float* memory = (float*)shared();
  memory[thread_id() + 1] = m.from[thread_id()];
}
// Blocks add in the order in which they come.
KERNEL(1) first_come(Mistake m) {
  if (thread_id() == 0) m.to[0] += m.from[block_id()];
}
// Rows of matrices 128 bytes apart are all in one group of banks.
KERNEL(1) same_bank(Mistake m) {
  float* memory = (float*)shared();
  for (int i = 0; i < 32; ++i) memory[i * THREADS + thread_id()] = m.from[thread_id()];
  sync_block();
  u32 words[4];
  load_matrices<false>(words, shared() + thread_id() % 32 * 128);
  m.to[thread_id()] = as_float(words[0]);
}
