// Batch normalisation, the addition of a shortcut and ReLU for maps of any size: two kernels forward (statistics, apply), two backward
// (sums, input gradient). Each thread has eight channels of some pixels.
#include "eight.h"

KERNEL(2) norm_statistics(Norm n) {
  const Place place(n.state.channels);
  Sums sums;
  float origin[8];
  wait_for_kernel_before();
  let_next_kernel_start();
  // The first pixel, which is the same when a part of a network is computed again.
  const Words pixel = n.x[place.eight];
  for (int i = 0; i < 8; ++i) origin[i] = part(pixel, i);
  place.each(n.state.rows, [&](long long at) { sums.take(n.x[at], origin); });
  add_up_block(n.state, place, sums);
  add_up_blocks(n.state, [&](int c, double sum, double square) { finish_statistics(n.state, c, part(n.x[c / 8], c % 8), sum, square); });
}

KERNEL(4) norm_apply(Norm n) {
  const Place place(n.state.channels);
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, place.eight);
  place.each(n.state.rows, [&](long long at) {
    Words shortcut{};
    if (n.shortcut) shortcut = n.shortcut[at];
    n.y[at] = affine.activated(n.x[at], shortcut, n.relu);
  });
}

KERNEL(2) norm_sums(Norm n) {
  const Place place(n.state.channels);
  Sums sums;
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, place.eight);
  place.each(n.state.rows, [&](long long at) {
    const Words x = n.x[at];
    float g[8];
    let_through(g, n.dy[at], n.more, n.sign, x, affine, at, n.relu);
    sums.take(g, x, affine);
    if (n.masked) n.masked[at] = packed(g);
  });
  add_up_block(n.state, place, sums);
  finish_all_gradients(n.state);
}

KERNEL(3) norm_input_gradient(Norm n) {
  const Place place(n.state.channels);
  wait_for_kernel_before();
  let_next_kernel_start();
  const Affine affine(n.state, place.eight);
  float slope[8], offset[8];
  load_eight(slope, n.state.slope, place.eight);
  load_eight(offset, n.state.offset, place.eight);
  // Where the masked gradient was written, reading it is cheaper than masking again.
  const Words* gradient = n.masked ? n.masked : n.dy;
  const bool mask = n.relu && !n.masked;
  place.each(n.state.rows, [&](long long at) {
    const Words x = n.x[at];
    float g[8], dx[8];
    let_through(g, gradient[at], nullptr, mask ? n.sign : nullptr, x, affine, at, mask);
    for (int i = 0; i < 8; ++i) dx[i] = fused(g[i], affine.factor[i], fused(affine.centred(part(x, i), i), slope[i], offset[i]));
    n.dx[at] = packed(dx);
  });
}
