// Batch normalisation, the addition of a shortcut and ReLU for maps of any size: two kernels forward (statistics, apply), two backward
// (sums, input gradient). Each thread has eight channels of some pixels.
#include "sums.h"

// Where a thread works: pixels slot, slot + all blocks' slots, …; channels 8 · group and the next seven.
struct Share {
  int groups, slots, group, slot, first, step;
  METHOD explicit Share(int channels)
      : groups(channels / 8), slots(groups < THREADS ? THREADS / groups : 1), group(thread_id() % groups), slot(thread_id() / groups),
        first(block_id() * slots + slot), step(block_count() * slots) {}
  METHOD bool idle() const { return slot >= slots; }
};

DEVICE void load_eight(float (&to)[8], const float* from, int group) {
  for (int i = 0; i < 8; ++i) to[i] = from[group * 8 + i];
}

// (x - mean) · factor + beta for a thread's channels.
struct Affine {
  float mean[8], factor[8], beta[8];
  METHOD Affine(const NormState& n, int group) {
    load_eight(mean, n.mean, group);
    load_eight(factor, n.factor, group);
    load_eight(beta, n.beta, group);
  }
  METHOD float centred(float x, int i) const { return x - mean[i]; }
  METHOD float of(float centred, int i) const { return fused(centred, factor[i], beta[i]); }
};

// Adds both sums up over the block's pixels, and leaves them for the last block. Takes 16 · THREADS floats of shared memory.
DEVICE void add_up_block(const NormState& n, const Share& share, const float (&a)[8], const float (&b)[8]) {
  float* memory = (float*)shared();
  for (int i = 0; i < 8; ++i) {
    memory[i * THREADS + thread_id()] = a[i];
    memory[(8 + i) * THREADS + thread_id()] = b[i];
  }
  for (int left = share.slots; left > 1; left = (left + 1) / 2) {
    const int half = (left + 1) / 2;
    sync_block();
    if (share.slot + half < left)
      for (int i = 0; i < 16; ++i) memory[i * THREADS + thread_id()] += memory[i * THREADS + thread_id() + half * share.groups];
  }
  sync_block();
  if (share.slot > 0) return;
  for (int i = 0; i < 8; ++i) {
    n.partial[(block_id() * 2 + 0) * n.channels + share.group * 8 + i] = memory[i * THREADS + thread_id()];
    n.partial[(block_id() * 2 + 1) * n.channels + share.group * 8 + i] = memory[(8 + i) * THREADS + thread_id()];
  }
}

KERNEL(2) norm_statistics(Norm n) {
  const Share share(n.state.channels);
  float sum[8] = {}, square[8] = {}, origin[8];
  wait_for_kernel_before();
  let_next_kernel_start();
  // The first pixel, which is the same when a part of a network is computed again.
  const Words pixel = n.x[share.group];
  for (int i = 0; i < 8; ++i) origin[i] = part(pixel, i);
  if (!share.idle())
    for (int row = share.first; row < n.state.rows; row += share.step) {
      const Words x = n.x[(long long)row * share.groups + share.group];
      for (int i = 0; i < 8; ++i) {
        const float value = part(x, i) - origin[i];
        sum[i] += value;
        square[i] = fused(value, value, square[i]);
      }
    }
  add_up_block(n.state, share, sum, square);
  add_up_blocks(n.state, block_count(), [&](int c, double sum, double square) {
    finish_statistics(n.state, c, part(n.x[c / 8], c % 8), sum, square);
  });
}

KERNEL(4) norm_apply(Norm n) {
  const Share share(n.state.channels);
  wait_for_kernel_before();
  let_next_kernel_start();
  if (share.idle()) return;
  const Affine affine(n.state, share.group);
  for (int row = share.first; row < n.state.rows; row += share.step) {
    const long long at = (long long)row * share.groups + share.group;
    const Words x = n.x[at];
    Words shortcut{};
    if (n.shortcut) shortcut = n.shortcut[at];
    float y[8];
    for (int i = 0; i < 8; ++i) {
      y[i] = affine.of(affine.centred(part(x, i), i), i) + part(shortcut, i);
      if (n.relu) y[i] = positive(y[i]);
    }
    n.y[at] = packed(y);
  }
}

// The gradient by the normalisation's output, before ReLU let it through or not: its sign is y's, or follows from x.
DEVICE float let_through(const Norm& n, float gradient, const Words& sign, const Affine& affine, float centred, int i) {
  return (n.sign ? part(sign, i) : affine.of(centred, i)) > 0 ? gradient : 0;
}

KERNEL(2) norm_sums(Norm n) {
  const Share share(n.state.channels);
  float sum[8] = {}, product[8] = {};
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, share.group);
  if (!share.idle())
    for (int row = share.first; row < n.state.rows; row += share.step) {
      const long long at = (long long)row * share.groups + share.group;
      const Words x = n.x[at], dy = n.dy[at];
      Words more{}, sign{};
      if (n.more) more = n.more[at];
      if (n.sign) sign = n.sign[at];
      float g[8];
      for (int i = 0; i < 8; ++i) {
        const float centred = affine.centred(part(x, i), i);
        // Rounded as if the sum of both had been written.
        g[i] = n.more ? rounded(part(dy, i) + part(more, i)) : part(dy, i);
        if (n.relu) g[i] = let_through(n, g[i], sign, affine, centred, i);
        sum[i] += g[i];
        product[i] = fused(g[i], centred, product[i]);
      }
      if (n.masked) n.masked[at] = packed(g);
    }
  add_up_block(n.state, share, sum, product);
  finish_all_gradients(n.state, block_count());
}

KERNEL(3) norm_input_gradient(Norm n) {
  const Share share(n.state.channels);
  wait_for_kernel_before();
  let_next_kernel_start();
  if (share.idle()) return;
  const Affine affine(n.state, share.group);
  float slope[8], offset[8];
  load_eight(slope, n.state.slope, share.group);
  load_eight(offset, n.state.offset, share.group);
  // Where the masked gradient was written, reading it is cheaper than masking again.
  const Words* gradient = n.masked ? n.masked : n.dy;
  const bool mask = n.relu && !n.masked;
  for (int row = share.first; row < n.state.rows; row += share.step) {
    const long long at = (long long)row * share.groups + share.group;
    const Words x = n.x[at], dy = gradient[at];
    Words sign{};
    if (mask && n.sign) sign = n.sign[at];
    float dx[8];
    for (int i = 0; i < 8; ++i) {
      const float centred = affine.centred(part(x, i), i);
      const float g = mask ? let_through(n, part(dy, i), sign, affine, centred, i) : part(dy, i);
      dx[i] = fused(g, affine.factor[i], fused(centred, slope[i], offset[i]));
    }
    n.dx[at] = packed(dx);
  }
}
