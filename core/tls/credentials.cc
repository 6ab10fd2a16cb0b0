#include "core/tls/credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/base/file.h"

namespace ft::tls {
namespace {

constexpr unsigned int kLookAgainSeconds = 2;
constexpr uint64_t kMaxPemBytes = 1 << 20;

struct OpenSslFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Certificate = std::unique_ptr<X509, OpenSslFree>;
using Key = std::unique_ptr<EVP_PKEY, OpenSslFree>;

// Without it OpenSSL would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

StatusOr<std::unique_ptr<BIO, OpenSslFree>> Open(std::string_view name, const std::string& path) {
  StatusOr<std::string> text = ReadFile(path, kMaxPemBytes);
  if (!text.ok()) return absl::InvalidArgumentError(StrCat(name, ": ", text.status().message()));
  std::unique_ptr<BIO, OpenSslFree> bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), text->data(), static_cast<int>(text->size()));
  return bio;
}

StatusOr<Certificate> ReadCertificate(std::string_view name, const std::string& path) {
  ASSIGN_OR_RETURN(const auto bio, Open(name, path));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  if (certificate == nullptr)
    return absl::InvalidArgumentError(StrCat(name, ": ", path, " holds no certificate in PEM form"));
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0)
    return absl::InvalidArgumentError(StrCat(name, ": the certificate in ", path, " has expired: renew it"));
  return certificate;
}

StatusOr<Key> ReadKey(const std::string& path) {
  ASSIGN_OR_RETURN(const auto bio, Open("key", path));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        StrCat("key: ", path, " holds no private key in PEM form without a passphrase"));
  }
  return key;
}

std::shared_ptr<grpc::experimental::CertificateProviderInterface> Watch(const Files& files) {
  return std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(files.key, files.certificate,
                                                                              files.ca, kLookAgainSeconds);
}

}  // namespace

Status Check(const Files& files, std::string_view ca_key) {
  if (!files.certificate.empty()) {
    ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate("certificate", files.certificate));
    ASSIGN_OR_RETURN(const Key key, ReadKey(files.key));
    if (X509_check_private_key(certificate.get(), key.get()) != 1) {
      return absl::InvalidArgumentError(
          StrCat("key: ", files.key, " is not the key of the certificate in ", files.certificate));
    }
  }
  if (!files.ca.empty()) RETURN_IF_ERROR(ReadCertificate(ca_key, files.ca).status());
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const Files& files) {
  grpc::experimental::TlsServerCredentialsOptions options(Watch(files));
  options.watch_identity_key_cert_pairs();
  if (!files.ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const Files& files) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Watch(files));
  options.watch_root_certs();
  if (!files.certificate.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace ft::tls
