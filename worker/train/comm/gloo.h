// Ranks over TCP: LibTorch's Gloo process group carries the bytes, the order of additions stays ours. Gloo's
// own sums are not used, since their order depends on the number of ranks and the size.
#pragma once

#include "worker/train/comm/comm.h"

namespace c10d {
class Store;
}

namespace ft::comm {

struct GlooMeeting {
  std::string host;  // The address of this rank's end of every connection.
  int rank = 0;
  int size = 1;
  std::chrono::milliseconds timeout = std::chrono::minutes(2);  // Of the meeting.
  size_t piece_floats = size_t{1} << 22;  // Largest piece of a sum; longer ones go in pieces.
};

// Meets the others through a folder they share: for ranks of one host.
StatusOr<std::unique_ptr<Comm>> MeetOverFiles(const std::string& folder, const GlooMeeting& meeting,
                                              const CommOptions& options);

// Rank 0's door for ranks of other hosts: a key-value store on a free port of its address. The port is open
// from the construction on; Address() is what the others are told.
class GlooDoor {
 public:
  static StatusOr<GlooDoor> Open(const std::string& host);
  GlooDoor(GlooDoor&&) noexcept;
  ~GlooDoor();
  const std::string& address() const { return address_; }  // HOST:PORT
  StatusOr<std::unique_ptr<Comm>> Meet(const GlooMeeting& meeting, const CommOptions& options);

 private:
  struct Store;
  explicit GlooDoor(std::unique_ptr<Store> store, std::string address);
  std::unique_ptr<Store> store_;
  std::string address_;
};

// The other ranks' way in. An empty meeting.host is the address by which this host reaches rank 0.
StatusOr<std::unique_ptr<Comm>> MeetAtDoor(const std::string& address, GlooMeeting meeting,
                                           const CommOptions& options);

}  // namespace ft::comm
