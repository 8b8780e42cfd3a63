// Eight channels of a feature map as one thread has them: it keeps its channels, and goes from pixel to pixel.
#pragma once
#include "sums.h"

// Which of the maps' eights are this block's, and which is this thread's. Threads that have none are idle.
struct Place {
  int all, first, eights, slots, eight, slot;
  METHOD explicit Place(int channels, int most = MOST_EIGHTS)
      : all(channels / 8), first(block_row() * most), eights(all - first < most ? all - first : most), slots(THREADS / eights),
        eight(first + thread_id() % eights), slot(thread_id() / eights) {}
  METHOD bool idle() const { return slot >= slots; }
  // Of each of this thread's places in maps of so many pixels, `work` does what is to be done with what `read` reads there. Blocks take runs in
  // turn. AHEAD reads are on their way at a time: the compiler does not know that what is written is not what is read.
  template <int AHEAD, typename Read, typename Work>
  METHOD void each(int pixels, Read read, Work work) const {
    static_assert(RUN % AHEAD == 0, "");
    if (idle()) return;
    const int run = RUN * slots;
    for (int start = block_id() * run; start < pixels; start += block_count() * run)
      for (int first = start + slot; first < start + run; first += AHEAD * slots) several<AHEAD>(first, slots, pixels, read, work);
  }
  // The same with AHEAD pixels from `first` on, each `step` after the one before.
  template <int AHEAD, typename Read, typename Work>
  METHOD void several(int first, int step, int pixels, Read read, Work work) const {
    decltype(read(0ll)) found[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; ++i)
      if (first + i * step < pixels) found[i] = read(at(first + i * step));
#pragma unroll
    for (int i = 0; i < AHEAD; ++i)
      if (first + i * step < pixels) work(found[i], at(first + i * step));
  }
  METHOD long long at(int pixel) const { return (long long)pixel * all + eight; }
};

DEVICE void load_eight(float (&to)[8], const float* from, int eight) {
  for (int i = 0; i < 8; ++i) to[i] = from[eight * 8 + i];
}

// (x - mean) · factor + beta.
struct Affine {
  float mean[8], factor[8], beta[8];
  METHOD Affine(const NormState& n, int eight) {
    load_eight(mean, n.mean, eight);
    load_eight(factor, n.factor, eight);
    load_eight(beta, n.beta, eight);
  }
  METHOD float centred(float x, int i) const { return x - mean[i]; }
  METHOD float of(float centred, int i) const { return fused(centred, factor[i], beta[i]); }
  METHOD Words activated(const Words& x, const Words& shortcut, bool relu) const {
    float y[8];
    for (int i = 0; i < 8; ++i) {
      y[i] = of(centred(part(x, i), i), i) + part(shortcut, i);
      if (relu) y[i] = positive(y[i]);
    }
    return packed(y);
  }
};

// A place in what is normalised, and in what is added.
struct Addends {
  Words x, shortcut;
};

// Two sums over a thread's pixels.
struct Sums {
  float one[8] = {}, other[8] = {};
  // Of (x - origin) and of its square.
  METHOD void take(const Words& x, const float (&origin)[8]) {
    for (int i = 0; i < 8; ++i) {
      const float value = part(x, i) - origin[i];
      one[i] += value;
      other[i] = fused(value, value, other[i]);
    }
  }
  // Of a gradient, and of it times (x - mean).
  METHOD void take(const float (&gradient)[8], const Words& x, const Affine& affine) {
    for (int i = 0; i < 8; ++i) {
      one[i] += gradient[i];
      other[i] = fused(gradient[i], affine.centred(part(x, i), i), other[i]);
    }
  }
};

// Adds both sums up over the block's pixels, and leaves them for the last block. Takes 16 · THREADS floats of shared memory.
DEVICE void add_up_block(const NormState& n, const Place& place, const Sums& sums) {
  float* memory = (float*)shared();
  for (int i = 0; i < 8; ++i) {
    memory[i * THREADS + thread_id()] = sums.one[i];
    memory[(8 + i) * THREADS + thread_id()] = sums.other[i];
  }
  for (int left = place.slots; left > 1; left = (left + 1) / 2) {
    const int half = (left + 1) / 2;
    sync_block();
    if (place.slot + half < left)
      for (int i = 0; i < 16; ++i) memory[i * THREADS + thread_id()] += memory[i * THREADS + thread_id() + half * place.eights];
  }
  sync_block();
  if (place.slot > 0) return;
  for (int i = 0; i < 8; ++i) {
    n.partial[(block_id() * 2 + 0) * n.channels + place.eight * 8 + i] = memory[i * THREADS + thread_id()];
    n.partial[(block_id() * 2 + 1) * n.channels + place.eight * 8 + i] = memory[(8 + i) * THREADS + thread_id()];
  }
}

// What the gradient of a normalisation's output needs of a place.
struct GradientWords {
  Words x, dy, more, sign;
};
// more, sign: null for none.
DEVICE GradientWords read_gradient(const Words* x, const Words* dy, const Words* more, const Words* sign, long long at) {
  GradientWords read{};
  read.x = x[at];
  if (dy) read.dy = dy[at];
  if (more) read.more = more[at];
  if (sign) read.sign = sign[at];
  return read;
}

// The gradient by a normalisation's output, where ReLU let it through: the output's sign is `sign`'s, or follows from x. Two consumers'
// gradients are rounded as if their sum had been written.
DEVICE void let_through(float (&g)[8], const GradientWords& read, bool more, bool sign, const Affine& affine, bool relu) {
  for (int i = 0; i < 8; ++i) {
    g[i] = more ? rounded(part(read.dy, i) + part(read.more, i)) : part(read.dy, i);
    if (relu && !((sign ? part(read.sign, i) : affine.of(affine.centred(part(read.x, i), i), i)) > 0)) g[i] = 0;
  }
}
