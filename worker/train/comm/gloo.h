// Ranks over TCP: LibTorch's Gloo process group carries the bytes, the order of additions stays ours. Gloo's
// own sums are not used, since their order depends on the number of ranks and the size.
#pragma once

#include "worker/train/comm/comm.h"

namespace c10d {
class Store;
}

namespace ft::comm {

struct GlooRendezvousOptions {
  std::string host;  // The address of this rank's end of every connection.
  int rank = 0;
  int size = 1;
  std::chrono::milliseconds timeout = std::chrono::minutes(2);  // Longest wait for the peers to come.
  size_t chunk_floats = size_t{1} << 22;  // Largest chunk of a sum; longer ones go in several.
};

// Meets the others through a folder they share: for ranks of one host.
StatusOr<std::unique_ptr<Comm>> RendezvousOverFiles(const std::string& folder,
                                                    const GlooRendezvousOptions& rendezvous,
                                                    const CommOptions& options);

// Where rank 0 awaits ranks of other hosts: a key-value store on a free port of its address. The port is open
// from the construction on; Address() is what the others are told.
class TcpRendezvous {
 public:
  static StatusOr<TcpRendezvous> Listen(const std::string& host);
  TcpRendezvous(TcpRendezvous&&) noexcept;
  ~TcpRendezvous();
  const std::string& address() const { return address_; }  // HOST:PORT
  StatusOr<std::unique_ptr<Comm>> Connect(const GlooRendezvousOptions& rendezvous,
                                          const CommOptions& options);

 private:
  struct Store;
  explicit TcpRendezvous(std::unique_ptr<Store> store, std::string address);
  std::unique_ptr<Store> store_;
  std::string address_;
};

// The other ranks' side. An empty rendezvous.host is the address by which this host reaches rank 0.
StatusOr<std::unique_ptr<Comm>> ConnectTcp(const std::string& address, GlooRendezvousOptions rendezvous,
                                           const CommOptions& options);

}  // namespace ft::comm
