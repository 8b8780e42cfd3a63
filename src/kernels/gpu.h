// What the kernels use of a GPU, once for CUDA (NVRTC alone compiles it: no header of CUDA's is needed) and once for a CPU
// (emulate/emulate.h). Kernels take one structure by value and are written for blocks of THREADS threads.
#pragma once
#include "parameters.h"

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define METHOD __device__ __forceinline__
// Registers are so few that at least `blocks` of them fit on a multiprocessor at a time, as far as registers go.
#define KERNEL(blocks) extern "C" __global__ void __launch_bounds__(THREADS, blocks)

extern __shared__ __align__(128) u8 shared_memory[];
DEVICE u8* shared() { return shared_memory; }
DEVICE int thread_id() { return threadIdx.x; }
DEVICE int block_id() { return blockIdx.x; }
DEVICE int block_row() { return blockIdx.y; }
DEVICE int block_count() { return gridDim.x; }
DEVICE int block_rows() { return gridDim.y; }
DEVICE void sync_block() { __syncthreads(); }
DEVICE float shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
DEVICE float as_float(u32 bits) { return __uint_as_float(bits); }
// a · b + c, rounded once. NVRTC is told not to fuse on its own, so that both devices do the same.
DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE float exponential(float x) { return expf(x); }
DEVICE float logarithm(float x) { return logf(x); }
// What other blocks wrote, past this multiprocessor's own cache.
DEVICE float load_fresh(const float* from) { return __ldcg(from); }
DEVICE u32 load_fresh(const u32* from) { return __ldcg(from); }
// Two floats as bfloat16, each rounded to the nearest even; the first is the lower half.
DEVICE u32 pack(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

DEVICE u32 shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }
// Sixteen bytes to shared memory, which are there after wait_for_copies (of this thread) and a barrier (of the others).
DEVICE void copy_ahead(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}
DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// c += a · b of a warp: a 16×16, b 16×8 of bfloat16, c 16×8 of float, in the layout of the PTX manual's mma.m16n8k16.
DEVICE void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Four 8×8 matrices of bfloat16, whose rows of 16 bytes are where the warp's lanes say: lane 8·m + r has row r of matrix m.
template <bool TRANSPOSED>
DEVICE void load_matrices(u32 (&r)[4], const void* row) {
  if (TRANSPOSED)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

// Programmatic dependent launch (sm_90 on): a kernel may start before the one before it has ended. Every kernel waits before it reads what
// others made and before it writes; only then may it let the next one start, or two kernels on the order would be lost. Convolutions read their
// weights earlier: the first layer's kernel waits for the cast that makes them, so all that come after it find them.
DEVICE void wait_for_kernel_before() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
DEVICE void let_next_kernel_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Whether this block is the last of `count` that come here; it then sees what the others wrote. The counter is 0 again afterwards.
DEVICE bool is_last_block(u32* counter, int count) {
  __shared__ bool last;
  __threadfence();
  sync_block();
  if (thread_id() == 0) {
    last = atomicAdd(counter, 1) == (u32)count - 1;
    if (last) *counter = 0;
    __threadfence();
  }
  sync_block();
  return last;
}

#else
#include "emulate/emulate.h"
#endif

DEVICE float low(u32 pair) { return as_float(pair << 16); }
DEVICE float high(u32 pair) { return as_float(pair & 0xffff0000u); }
DEVICE float part(const Words& words, int i) { return i & 1 ? high(words.v[i >> 1]) : low(words.v[i >> 1]); }
DEVICE float half_of_pair(u32 pair, int i) { return i ? high(pair) : low(pair); }
DEVICE Words packed(const float (&v)[8]) {
  Words words;
  for (int i = 0; i < 4; ++i) words.v[i] = pack(v[2 * i], v[2 * i + 1]);
  return words;
}
// As if it had been written and read again.
DEVICE float rounded(float x) { return low(pack(x, 0)); }
// NaN stays NaN, as in libtorch's ReLU.
DEVICE float positive(float x) { return x <= 0 ? 0 : x; }
