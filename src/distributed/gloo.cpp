// libtorch's store and its Gloo behind a C interface: how processes of one run find one another, and
// how tensors get from one to another. gloo_declared/ has what c10d's headers name of Gloo's own.
//
// Functions that return a flag or a pointer return false or null after an error, whose text
// resnet_gloo_error has until this thread's next call.
#define USE_C10D_GLOO 1
#include "../system/guarded.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <c10/util/Logging.h>

#include <cstdlib>
#include <mutex>

namespace {
// What c10d keeps on record of each exchange is one map for all groups of a process, written without
// a lock when an exchange is begun (FlightRecorder::recordWithResetEnabled, libtorch 2.11).
std::mutex beginning;

using Store = c10::intrusive_ptr<c10d::Store>;
using Gloo = c10::intrusive_ptr<c10d::ProcessGroupGloo>;
using Work = c10::intrusive_ptr<c10d::Work>;

// Begins an exchange, and waits until it is over.
template <class Begin>
bool exchanged(Begin&& begin) noexcept {
  return done([&] {
    Work work;
    {
      const std::lock_guard<std::mutex> lock(beginning);
      work = begin();
    }
    work->wait();
  });
}

at::Tensor& tensor(void* pointer) { return *static_cast<at::Tensor*>(pointer); }
}  // namespace

extern "C" {
const char* resnet_gloo_error() { return last_error.c_str(); }

// The store at host:port, as its server or as a client, which waits for the server.
void* resnet_store_open(const char* host, uint16_t port, bool serve, int64_t limit_ms) {
  Store* store = nullptr;
  // What goes wrong is returned; c10d also logs it, attempt by attempt and with the stack.
  constexpr int fatal_alone = 3;
  if (!std::getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = fatal_alone;
  done([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serve;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(limit_ms);
    store = new Store(c10::make_intrusive<c10d::TCPStore>(host, options));
  });
  return store;
}

bool resnet_store_set(void* store, const char* key, const char* value) {
  return done([&] { (*static_cast<Store*>(store))->set(key, std::string(value)); });
}

// Waits for the key, and copies its value, at most capacity - 1 bytes, with a zero behind it.
bool resnet_store_get(void* store, const char* key, char* value, size_t capacity) {
  return done([&] {
    const std::vector<uint8_t> found = (*static_cast<Store*>(store))->get(key);
    const size_t length = std::min(found.size(), capacity - 1);
    std::copy_n(found.begin(), length, value);
    value[length] = 0;
  });
}

void resnet_store_close(void* store) {
  done([&] { delete static_cast<Store*>(store); });
}

// Joins the others over a network interface, or where its name is empty over this machine's address.
void* resnet_gloo_join(void* store, const char* prefix, int rank, int world, int64_t limit_ms, const char* interface, const char* address) {
  Gloo* made = nullptr;
  done([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(limit_ms));
    options->devices.push_back(*interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                          : c10d::ProcessGroupGloo::createDeviceForHostname(address));
    auto keys = c10::make_intrusive<c10d::PrefixStore>(prefix, *static_cast<Store*>(store));
    made = new Gloo(c10::make_intrusive<c10d::ProcessGroupGloo>(keys, rank, world, options));
  });
  return made;
}

// Of input [world × part], part r goes to rank r; output [world × part] has the parts that came, in order of ranks.
bool resnet_gloo_all_to_all(void* gloo, void* output, void* input) {
  return exchanged([&] {
    std::vector<int64_t> equal;
    return (*static_cast<Gloo*>(gloo))->alltoall_base(tensor(output), tensor(input), equal, equal);
  });
}

// The input [part] of every rank, in order of ranks: output [world × part].
bool resnet_gloo_all_gather(void* gloo, void* output, void* input) {
  return exchanged([&] { return (*static_cast<Gloo*>(gloo))->_allgather_base(tensor(output), tensor(input)); });
}

void resnet_gloo_leave(void* gloo) {
  done([&] { delete static_cast<Gloo*>(gloo); });
}
}
