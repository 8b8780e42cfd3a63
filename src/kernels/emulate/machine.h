// The machine that kernels run on: blocks whose threads are fibers, warps, shared memory.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../parameters.h"
#include "fiber.h"

namespace emulation {

enum class State { READY, AT_BARRIER, AT_WARP, DONE };
enum class Operation { NONE, SHUFFLE, MULTIPLY, LOAD, LOAD_TRANSPOSED };

struct Copy {
  void* to;
  const void* from;
};

// What a thread brings to an operation of its warp.
struct Operands {
  Operation operation;
  float value;       // SHUFFLE: given, then received
  int mask;
  float* c;          // MULTIPLY
  const u32* a;
  u32 b[2];
  const void* row;   // LOAD
  u32* result;
};

struct Thread {
  Fiber fiber;
  State state;
  int id;
  Operands at;
  std::vector<Copy> copies;
};

// Passes over the banks of shared memory that loads of matrices take: one each without conflicts.
struct Counts {
  long long multiplications, matrix_loads, passes;
};

struct Block {
  int threads, id, row, rows, count;
  u8* shared;
  Thread* now;
  Fiber scheduler;
  const std::function<void()>* kernel;
  Counts counts;
  std::string failure;
};
inline thread_local Block block;

inline void pause_as(State state) {
  block.now->state = state;
  block.now->fiber.switch_to(block.scheduler);
}
inline void fail(const char* what) {
  if (block.failure.empty())
    block.failure = std::string(what) + " (block " + std::to_string(block.id) + (block.now ? ", thread " + std::to_string(block.now->id) : "") + ")";
}
inline void body() {
  (*block.kernel)();
  pause_as(State::DONE);
}
inline float value_of(u32 bits) {
  const u32 word = bits << 16;
  float value;
  std::memcpy(&value, &word, 4);
  return value;
}

inline void shuffle(Thread* lanes) {
  float values[32];
  for (int i = 0; i < 32; ++i) values[i] = lanes[i].at.value;
  for (int i = 0; i < 32; ++i) lanes[i].at.value = values[i ^ lanes[i].at.mask];
}

inline void multiply_matrices(Thread* lanes) {
  block.counts.multiplications++;
  float a[16][16], b[16][8];
  for (int i = 0; i < 32; ++i) {
    const int group = i / 4, pair = i % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const int shift = 16 * half;
      for (int part = 0; part < 4; ++part) a[group + part % 2 * 8][pair + half + part / 2 * 8] = value_of(lanes[i].at.a[part] >> shift);
      for (int part = 0; part < 2; ++part) b[pair + half + part * 8][group] = value_of(lanes[i].at.b[part] >> shift);
    }
  }
  for (int i = 0; i < 32; ++i)
    for (int part = 0; part < 4; ++part) {
      const int row = i / 4 + part / 2 * 8, column = i % 4 * 2 + part % 2;
      float sum = lanes[i].at.c[part];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      lanes[i].at.c[part] = sum;
    }
}

// Rows of 16 bytes in 8 groups of 4 banks: as many passes as the fullest group has different rows.
inline int passes_of(const Thread* lanes) {
  int most = 0, rows_in[8] = {};
  const u8* rows[8][8];
  for (int r = 0; r < 8; ++r) {
    const u8* row = static_cast<const u8*>(lanes[r].at.row);
    if (reinterpret_cast<uintptr_t>(row) % 16) fail("a row of a matrix is not aligned to 16 bytes");
    const int group = (row - block.shared) / 16 % 8;
    bool known = false;
    for (int i = 0; i < rows_in[group]; ++i) known |= rows[group][i] == row;
    if (!known) rows[group][rows_in[group]++] = row;
    most = rows_in[group] > most ? rows_in[group] : most;
  }
  return most;
}

inline void load(Thread* lanes, bool transposed) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    block.counts.matrix_loads++;
    block.counts.passes += passes_of(lanes + matrix * 8);
    const auto at = [&](int row, int column) { return static_cast<u32>(static_cast<const u16*>(lanes[matrix * 8 + row].at.row)[column]); };
    for (int i = 0; i < 32; ++i) {
      const int group = i / 4, pair = i % 4 * 2;
      lanes[i].at.result[matrix] = transposed ? at(pair, group) | at(pair + 1, group) << 16 : at(group, pair) | at(group, pair + 1) << 16;
    }
  }
}

inline void operate(Thread* lanes) {
  const Operation operation = lanes[0].at.operation;
  for (int i = 1; i < 32; ++i)
    if (lanes[i].at.operation != operation) return fail("lanes of a warp do different operations");
  switch (operation) {
    case Operation::SHUFFLE: shuffle(lanes); break;
    case Operation::MULTIPLY: multiply_matrices(lanes); break;
    default: load(lanes, operation == Operation::LOAD_TRANSPOSED);
  }
  for (int i = 0; i < 32; ++i) {
    lanes[i].at.operation = Operation::NONE;
    lanes[i].state = State::READY;
  }
}

inline Operands& join(Operation operation) {
  Operands& at = block.now->at;
  at.operation = operation;
  pause_as(State::AT_WARP);
  return at;
}

// In which order threads and blocks run.
enum class Order {
  IN_STEP,      // every warp to its next barrier or operation in turn; blocks first to last
  RUN_AHEAD,    // every warp as far as it comes, first to last; blocks last to first
  RUN_BEHIND,   // the same, last to first; blocks mixed
};

// Runs a warp's threads as far as their next stop; whether any came further.
inline bool run_warp(Thread* lanes, Order order) {
  bool ran = false;
  for (int step = 0; step < 32; ++step) {
    Thread& thread = lanes[order == Order::RUN_BEHIND ? 31 - step : step];
    if (thread.state != State::READY) continue;
    ran = true;
    block.now = &thread;
    block.scheduler.switch_to(thread.fiber);
    block.now = nullptr;
  }
  int here = 0;
  for (int i = 0; i < 32; ++i) here += lanes[i].state == State::AT_WARP;
  if (here < 32) return ran;
  operate(lanes);
  return true;
}

inline void run_block(std::vector<Thread>& threads, Order order) {
  const int count = block.threads;
  while (block.failure.empty()) {
    bool ran = false;
    for (int step = 0; step < count; step += 32) {
      Thread* lanes = &threads[order == Order::RUN_BEHIND ? count - 32 - step : step];
      while (block.failure.empty() && run_warp(lanes, order)) {
        ran = true;
        if (order == Order::IN_STEP) break;
      }
    }
    int waiting = 0, done = 0;
    for (int i = 0; i < count; ++i) {
      waiting += threads[i].state == State::AT_BARRIER;
      done += threads[i].state == State::DONE;
    }
    if (done == count) return;
    if (waiting == count) {
      for (int i = 0; i < count; ++i) threads[i].state = State::READY;
    } else if (!ran) {
      fail("threads wait for each other at different places");
    }
  }
}

// Bytes behind shared memory that must stay as they are.
constexpr size_t GUARD = 256;
constexpr u8 UNTOUCHED = 0xa5;

inline void check_guard(const u8* end) {
  for (size_t i = 0; i < GUARD; ++i)
    if (end[i] != UNTOUCHED) return fail("a thread wrote past the shared memory that the launch asked for");
}

// The blocks of a grid, one after the other. What went wrong is in block.failure.
inline void launch(int columns, int rows, int threads, size_t shared_bytes, Order order, const std::function<void()>& kernel) {
  static thread_local std::vector<Thread> fibers;
  fibers.resize(static_cast<size_t>(threads) > fibers.size() ? threads : fibers.size());
  std::unique_ptr<u8[]> memory(new u8[shared_bytes + 128 + GUARD]);
  block.counts = {};
  block.failure.clear();
  block.now = nullptr;
  const int blocks = columns * rows;
  for (int at = 0; at < blocks && block.failure.empty(); ++at) {
    const int id = order == Order::RUN_AHEAD ? blocks - 1 - at : order == Order::RUN_BEHIND ? static_cast<int>((at * 7919ll + 13) % blocks) : at;
    block.threads = threads;
    block.id = id % columns;
    block.row = id / columns;
    block.rows = rows;
    block.count = columns;
    block.kernel = &kernel;
    block.shared = reinterpret_cast<u8*>((reinterpret_cast<uintptr_t>(memory.get()) + 127) & ~static_cast<uintptr_t>(127));
    std::memset(block.shared, 0xff, shared_bytes);
    std::memset(block.shared + shared_bytes, UNTOUCHED, GUARD);
    for (int i = 0; i < threads; ++i) {
      fibers[i].fiber.begin(body);
      fibers[i].state = State::READY;
      fibers[i].id = i;
      fibers[i].at = {};
      fibers[i].copies.clear();
    }
    run_block(fibers, order);
    for (int i = 0; i < threads; ++i)
      if (!fibers[i].copies.empty()) fail("a thread did not wait for its copies");
    check_guard(block.shared + shared_bytes);
  }
}

}  // namespace emulation
