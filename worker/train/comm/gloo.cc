#include "worker/train/comm/gloo.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <torch/types.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/base/check.h"
#include "core/base/file.h"
#include "worker/train/comm/gloo_work.h"

namespace ft::comm {
namespace {

using Clock = std::chrono::steady_clock;
using torch::Tensor;

constexpr auto kPollInterval = std::chrono::milliseconds(100);
// How much longer than Gloo's own timeout this side waits before it says so itself.
constexpr auto kGrace = std::chrono::seconds(2);

// Gloo's and c10d's messages carry a place in their sources and a backtrace: the first line is what people
// can use.
std::string FirstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

Tensor Bytes(size_t count) { return torch::empty({static_cast<int64_t>(count)}, torch::kUInt8); }

class GlooComm : public Comm {
 public:
  GlooComm(const GlooRendezvousOptions& rendezvous, c10::intrusive_ptr<c10d::ProcessGroupGloo> group,
           CommOptions options)
      : Comm(rendezvous.rank, rendezvous.size, std::move(options)),
        group_(std::move(group)),
        chunk_floats_(rendezvous.chunk_floats) {}
  std::string_view transport() const override { return "gloo"; }

 private:
  Status DoAllGather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  Status DoAllGather(std::span<const std::byte> mine, std::span<const size_t> counts,
                     std::span<std::byte> all) override;
  Status DoAllReduceSum(std::span<float> values) override;
  Status DoReduceScatterSum(std::span<const float> values, std::span<const size_t> counts, int contributors,
                            std::span<float> own) override;
  Status DoBroadcast(int root, std::span<std::byte> bytes) override;
  Status DoBarrier() override;
  Status SumChunk(std::span<float> values);
  // One exchange of ReduceScatterSum: `parts` are the ranks' parts of `values`, `own` this rank's.
  Status ScatterChunk(std::span<const float> values, std::span<const size_t> parts, int contributors,
                      std::span<float> own);
  Status Gather(Tensor& all, Tensor& mine);
  // So many of `bytes`, which grow where they are too few.
  static Tensor Room(Tensor& bytes, size_t count);

  // Starts an operation of Gloo and waits for its end, looking up now and then.
  template <typename Start>
  Status Await(const Start& start) {
    const Clock::time_point begin = Clock::now();
    NextChunk();
    try {
      const c10::intrusive_ptr<c10d::Work> work = start();
      while (!EndsWithin(*work, kPollInterval)) {
        if (Clock::now() >= begin + options_.timeout + kGrace) return Late("");
        TellWait(size() == 2 ? 1 - rank() : -1);  // Gloo does not say; of two it is the other.
      }
    } catch (const std::exception& error) {
      const std::string cause = FirstLine(error.what());
      if (Clock::now() >= begin + options_.timeout) return Late(cause);
      return absl::UnavailableError(StrCat("a peer has gone: ", cause));
    }
    return absl::OkStatus();
  }

  Status Late(std::string_view cause) const {
    return absl::DeadlineExceededError(
        StrCat("not all of ", size() - 1, " peers arrived in time", cause.empty() ? "" : ": ", cause));
  }

  const c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  const size_t chunk_floats_;
  // Of one exchange at a time. They stay, since pages that the allocator has given back cost as much as the exchange.
  Tensor sent_bytes_ = Bytes(0), received_bytes_ = Bytes(0);
};

Tensor GlooComm::Room(Tensor& bytes, size_t count) {
  if (static_cast<size_t>(bytes.numel()) < count) bytes = Bytes(count);
  return bytes.narrow(0, 0, static_cast<int64_t>(count));
}

Status GlooComm::Gather(Tensor& all, Tensor& mine) {
  return Await([&] { return group_->_allgather_base(all, mine, {.timeout = options_.timeout}); });
}

Status GlooComm::DoAllGather(std::span<const std::byte> mine, std::span<std::byte> all) {
  if (mine.empty()) return DoBarrier();
  // Gloo works on tensors of its own, so that one which fails late never touches memory that the caller has
  // freed.
  Tensor sent = Bytes(mine.size()), received = Bytes(all.size());
  std::memcpy(sent.data_ptr(), mine.data(), mine.size());
  RETURN_IF_ERROR(Gather(received, sent));
  std::memcpy(all.data(), received.const_data_ptr(), all.size());
  return absl::OkStatus();
}

// Gloo gathers equal parts, so all travel as the longest; they differ by little but for the smallest models. Long ones go in several chunks.
Status GlooComm::DoAllGather(std::span<const std::byte> mine, std::span<const size_t> counts,
                             std::span<std::byte> all) {
  const size_t longest = *std::max_element(counts.begin(), counts.end());
  const size_t chunk = std::max<size_t>(1, chunk_floats_ * sizeof(float) / counts.size());
  for (size_t begin = 0; begin < longest; begin += chunk) {
    const size_t length = std::min(chunk, longest - begin);
    const auto part = [&](size_t count) { return std::min(count - std::min(count, begin), length); };
    Tensor sent = Room(sent_bytes_, length), received = Room(received_bytes_, length * counts.size());
    if (part(mine.size()) > 0)
      std::copy_n(mine.data() + begin, part(mine.size()), static_cast<std::byte*>(sent.data_ptr()));
    RETURN_IF_ERROR(Gather(received, sent));
    const auto* from = static_cast<const std::byte*>(received.const_data_ptr());
    size_t first = 0;
    for (const size_t count : counts) {
      if (part(count) > 0) std::copy_n(from, part(count), all.data() + first + begin);
      from += length;
      first += count;
    }
  }
  return absl::OkStatus();
}

Status GlooComm::DoReduceScatterSum(std::span<const float> values, std::span<const size_t> counts,
                                    int contributors, std::span<float> own) {
  for (size_t begin = 0; begin < values.size(); begin += chunk_floats_) {
    const size_t end = std::min(begin + chunk_floats_, values.size());
    std::vector<size_t> parts;
    size_t first = 0, own_begin = 0;
    for (size_t peer = 0; peer < counts.size(); ++peer) {
      const size_t from = std::clamp(first, begin, end), to = std::clamp(first + counts[peer], begin, end);
      if (peer == static_cast<size_t>(rank())) own_begin = from - std::min(from, first);
      parts.push_back(to - from);
      first += counts[peer];
    }
    const size_t length = parts[static_cast<size_t>(rank())];
    RETURN_IF_ERROR(ScatterChunk(values.subspan(begin, end - begin), parts, contributors,
                                 length == 0 ? own.first(0) : own.subspan(own_begin, length)));
  }
  return absl::OkStatus();
}

Status GlooComm::ScatterChunk(std::span<const float> values, std::span<const size_t> parts, int contributors,
                              std::span<float> own) {
  const bool contributes = rank() < contributors;
  // One number more for each rank: Gloo takes no empty parts. This rank's own part is read where it lies.
  std::vector<int64_t> sent_counts, received_counts;
  for (int peer = 0; peer < size(); ++peer) {
    const bool is_other = peer != rank();
    const size_t sent = contributes && is_other ? parts[static_cast<size_t>(peer)] : 0;
    sent_counts.push_back(static_cast<int64_t>(sent + 1));
    received_counts.push_back(static_cast<int64_t>((peer < contributors && is_other ? own.size() : 0) + 1));
  }
  const auto sum = [](const std::vector<int64_t>& counts) {
    return sizeof(float) * std::accumulate(counts.begin(), counts.end(), size_t{0});
  };
  Tensor out = Room(sent_bytes_, sum(sent_counts)).view(torch::kFloat);
  Tensor in = Room(received_bytes_, sum(received_counts)).view(torch::kFloat);
  const float *from = values.data(), *kept = nullptr;
  float* to = out.mutable_data_ptr<float>();
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) kept = from;
    to = std::copy_n(from, sent_counts[static_cast<size_t>(peer)] - 1, to);
    *to++ = 0;
    from += parts[static_cast<size_t>(peer)];
  }
  RETURN_IF_ERROR(Await([&] {
    return group_->alltoall_base(in, out, received_counts, sent_counts, {.timeout = options_.timeout});
  }));
  // The counts are Gloo's by now.
  std::vector<const float*> inputs;
  const float* received = in.const_data_ptr<float>();
  for (int peer = 0; peer < contributors; ++peer) {
    inputs.push_back(peer == rank() ? kept : received);
    received += peer == rank() ? 1 : own.size() + 1;
  }
  TreeAdd(inputs, own.size(), own.data());
  return absl::OkStatus();
}

Status GlooComm::DoAllReduceSum(std::span<float> values) {
  for (size_t begin = 0; begin < values.size(); begin += chunk_floats_) {
    RETURN_IF_ERROR(SumChunk(values.subspan(begin, std::min(chunk_floats_, values.size() - begin))));
  }
  return absl::OkStatus();
}

// Every rank sends each other the share that one adds up, adds its own, and gathers all sums.
Status GlooComm::SumChunk(std::span<float> values) {
  const auto ranks = static_cast<size_t>(size());
  const size_t share = (values.size() + ranks - 1) / ranks;
  Tensor sent = torch::zeros({static_cast<int64_t>(share * ranks)}, torch::kFloat);
  Tensor received = torch::empty_like(sent);
  std::memcpy(sent.data_ptr(), values.data(), values.size_bytes());
  std::vector<int64_t> counts(ranks, static_cast<int64_t>(share));
  RETURN_IF_ERROR(Await(
      [&] { return group_->alltoall_base(received, sent, counts, counts, {.timeout = options_.timeout}); }));
  std::vector<const float*> inputs;
  for (size_t peer = 0; peer < ranks; ++peer)
    inputs.push_back(received.const_data_ptr<float>() + peer * share);
  Tensor sum = torch::empty({static_cast<int64_t>(share)}, torch::kFloat);
  TreeAdd(inputs, share, sum.mutable_data_ptr<float>());
  RETURN_IF_ERROR(Gather(received, sum));
  std::memcpy(values.data(), received.const_data_ptr(), values.size_bytes());
  return absl::OkStatus();
}

Status GlooComm::DoBroadcast(int root, std::span<std::byte> bytes) {
  if (bytes.empty()) return DoBarrier();
  std::vector<Tensor> tensors = {Bytes(bytes.size())};
  if (rank() == root) std::memcpy(tensors[0].data_ptr(), bytes.data(), bytes.size());
  c10d::BroadcastOptions options;
  options.rootRank = root;
  options.timeout = options_.timeout;
  RETURN_IF_ERROR(Await([&] { return group_->broadcast(tensors, options); }));
  if (rank() != root) std::memcpy(bytes.data(), tensors[0].const_data_ptr(), bytes.size());
  return absl::OkStatus();
}

Status GlooComm::DoBarrier() {
  Tensor mine = torch::zeros({1}, torch::kUInt8), all = Bytes(static_cast<size_t>(size()));
  return Gather(all, mine);
}

StatusOr<std::unique_ptr<Comm>> ConnectThroughStore(const c10::intrusive_ptr<c10d::Store>& store,
                                                    const GlooRendezvousOptions& rendezvous,
                                                    const CommOptions& options) {
  FT_CHECK(rendezvous.size >= 2 && rendezvous.rank >= 0 && rendezvous.rank < rendezvous.size)
      << rendezvous.rank << " of " << rendezvous.size;
  try {
    store->setTimeout(rendezvous.timeout);
    auto group_options = c10d::ProcessGroupGloo::Options::create(rendezvous.timeout);
    group_options->devices.push_back(
        c10d::ProcessGroupGloo::createDeviceForHostname(rendezvous.host, /*lazyInit=*/false));
    auto group =
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, rendezvous.rank, rendezvous.size, group_options);
    group->setTimeout(options.timeout);
    return std::make_unique<GlooComm>(rendezvous, std::move(group), options);
  } catch (const std::exception& error) {
    return absl::DeadlineExceededError(
        StrCat("rank ", rendezvous.rank, " of ", rendezvous.size,
               ": meeting over gloo: not all ranks met in time: ", FirstLine(error.what())));
  }
}

struct AddressList {
  addrinfo* first = nullptr;
  ~AddressList() {
    if (first != nullptr) ::freeaddrinfo(first);
  }
};

Status Resolve(const std::string& host, const std::string& port, int kind, AddressList& list) {
  addrinfo hints{};
  hints.ai_socktype = kind;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list.first);
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(StrCat("cannot resolve ", host, ": ", ::gai_strerror(error)));
}

StatusOr<std::string> NameOf(const UniqueFd& socket, std::string& port) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  char host[NI_MAXHOST], service[NI_MAXSERV];
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof(host), service,
                    sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return absl::UnavailableError(StrCat("cannot tell a socket's address: ", std::strerror(errno)));
  }
  port = service;
  return std::string(host);
}

Status Split(const std::string& address, std::string& host, std::string& port) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return absl::InvalidArgumentError(StrCat("'", address, "' is not HOST:PORT"));
  }
  host = address.substr(0, colon);
  port = address.substr(colon + 1);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return absl::OkStatus();
}

// The address of this host's end of a way to another; nothing is sent.
StatusOr<std::string> AddressTowards(const std::string& host, const std::string& port) {
  AddressList list;
  RETURN_IF_ERROR(Resolve(host, port, SOCK_DGRAM, list));
  const UniqueFd socket(::socket(list.first->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() || ::connect(socket.get(), list.first->ai_addr, list.first->ai_addrlen) != 0) {
    return absl::UnavailableError(StrCat("no way to ", host, ": ", std::strerror(errno)));
  }
  std::string ignored;
  return NameOf(socket, ignored);
}

}  // namespace

struct TcpRendezvous::Store {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

TcpRendezvous::TcpRendezvous(std::unique_ptr<Store> store, std::string address)
    : store_(std::move(store)), address_(std::move(address)) {}
TcpRendezvous::TcpRendezvous(TcpRendezvous&&) noexcept = default;
TcpRendezvous::~TcpRendezvous() = default;

StatusOr<TcpRendezvous> TcpRendezvous::Listen(const std::string& host) {
  AddressList list;
  RETURN_IF_ERROR(Resolve(host, "0", SOCK_STREAM, list));
  // Bound here and not by the store, which would listen on every address of the host.
  UniqueFd socket(::socket(list.first->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() || ::bind(socket.get(), list.first->ai_addr, list.first->ai_addrlen) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    return absl::UnavailableError(StrCat("cannot listen on ", host, ": ", std::strerror(errno)));
  }
  std::string port;
  RETURN_IF_ERROR(NameOf(socket, port).status());
  try {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(std::stoi(port));
    options.isServer = true;
    options.waitWorkers = false;
    options.masterListenFd = socket.Release();
    options.useLibUV = false;  // Its server takes no socket that is bound already.
    auto store = std::make_unique<Store>(Store{c10::make_intrusive<c10d::TCPStore>(host, options)});
    return TcpRendezvous(std::move(store), StrCat(host, ":", port));
  } catch (const std::exception& error) {
    return absl::UnavailableError(StrCat("cannot open a store on ", host, ": ", FirstLine(error.what())));
  }
}

StatusOr<std::unique_ptr<Comm>> TcpRendezvous::Connect(const GlooRendezvousOptions& rendezvous,
                                                       const CommOptions& options) {
  return ConnectThroughStore(store_->store, rendezvous, options);
}

StatusOr<std::unique_ptr<Comm>> RendezvousOverFiles(const std::string& folder,
                                                    const GlooRendezvousOptions& rendezvous,
                                                    const CommOptions& options) {
  // Made here: the store tries for five minutes to open what it cannot, whatever its timeout, before it throws.
  const std::string file = StrCat(folder, "/gloo");
  const UniqueFd made(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!made.valid()) return ErrnoStatus("meet at", file, errno);
  try {
    return ConnectThroughStore(c10::make_intrusive<c10d::FileStore>(file, rendezvous.size), rendezvous,
                               options);
  } catch (const std::exception& error) {  // The store writes to its file at once.
    return absl::UnavailableError(
        StrCat("rank ", rendezvous.rank, ": cannot meet in ", folder, ": ", FirstLine(error.what())));
  }
}

StatusOr<std::unique_ptr<Comm>> ConnectTcp(const std::string& address, GlooRendezvousOptions rendezvous,
                                           const CommOptions& options) {
  std::string host, port;
  RETURN_IF_ERROR(Split(address, host, port));
  if (rendezvous.host.empty()) {
    ASSIGN_OR_RETURN(rendezvous.host, AddressTowards(host, port));
  }
  try {
    c10d::TCPStoreOptions options_of_store;
    options_of_store.port = static_cast<uint16_t>(std::stoi(port));
    options_of_store.waitWorkers = false;
    options_of_store.timeout = rendezvous.timeout;
    options_of_store.useLibUV = false;
    return ConnectThroughStore(c10::make_intrusive<c10d::TCPStore>(host, options_of_store), rendezvous,
                               options);
  } catch (const std::exception& error) {
    return absl::UnavailableError(StrCat("rank ", rendezvous.rank, ": cannot reach rank 0's store at ",
                                         address, ": ", FirstLine(error.what())));
  }
}

}  // namespace ft::comm
