#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "cli/admin_call.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/output.h"
#include "proof/evidence.h"

namespace perigee::cli {
namespace {

using proof::LogEvidence;
using proof::PublishedHead;
using proof::ReceiptEvidence;

struct TrustOptions {
  std::string authorities;  // a file
  std::string key;          // hex
};

struct ReceiptArguments {
  SiteOptions site;
  TrustOptions trust;
  OutputFormat format = OutputFormat::Table;
  std::string id;
  std::string file;
  std::string newer;
  std::string after;
  std::string request;
  std::string response;
};

// "-": standard input.
Result<std::string> read_file(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) {
    return Error{Code::InvalidArgument, path + " is a directory; name a file"};
  }
  std::ifstream file{path == "-" ? "/dev/stdin" : path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (file.bad() || !file.is_open()) return Error{Code::NotFound, "can't read " + path};
  return text;
}

Result<std::unique_ptr<proof::SignerTrust>> trust_of(const TrustOptions& options) {
  if (!options.key.empty()) {
    PERIGEE_TRY(key, proof::parse_public_key(options.key));
    return std::unique_ptr<proof::SignerTrust>{std::make_unique<proof::KeyTrust>(key)};
  }
  if (options.authorities.empty()) {
    return Error{Code::InvalidArgument,
                 "whom do you trust? --ca FILE (the grid's authority) or --key HEX (the site's)"};
  }
  PERIGEE_TRY(pem, read_file(options.authorities));
  auto authorities = pki::certificates_from_pem(pem);
  if (!authorities) {
    return Error{Code::InvalidArgument, options.authorities + ": " + authorities.error().message};
  }
  return std::unique_ptr<proof::SignerTrust>{
      std::make_unique<proof::CertificateTrust>(std::move(*authorities))};
}

int fetch(const ReceiptArguments& arguments, const std::string& path) {
  auto target = find_site(arguments.site);
  if (!target) return report(target.error());
  HttpCaller caller;
  Call call;
  call.path = path;
  auto answer = call_json(caller, *target, call);
  if (!answer) return report(answer.error());
  print(*answer);
  return kExitOk;
}

// A receipt's or a log's file: both show a head.
Result<PublishedHead> head_in(const std::string& path) {
  PERIGEE_TRY(text, read_file(path));
  if (auto receipt = proof::parse_receipt_evidence(text)) return std::move(receipt->head);
  auto log = proof::parse_log_evidence(text);
  if (!log) return Error{log.error().code, path + ": " + log.error().message};
  return std::move(log->head);
}

int fetch_log(const ReceiptArguments& arguments) {
  std::string query;
  if (!arguments.after.empty()) {
    auto head = head_in(arguments.after);
    auto parsed = head ? proof::parse_head(head->note) : Result<proof::SignedHead>{head.error()};
    if (!parsed) return report(parsed.error());
    query = fmt::format("?site={}&since={}", proof::parse_origin(parsed->origin).site.str(),
                        parsed->tree.leaves);
  } else if (!arguments.id.empty()) {
    query = "?site=" + arguments.id;
  }
  return fetch(arguments, "/v1/log" + query);
}

// Whether a file is what the receipt names by its hash.
Result<> check_hash(const std::string& path, std::string_view what, const Sha256& expected) {
  if (path.empty()) return {};
  PERIGEE_TRY(bytes, read_file(path));
  if (sha256(bytes) == expected) return {};
  return Error{Code::DataLoss, fmt::format("{} is not the {} of this receipt", path, what)};
}

std::string time_text(WallTime time) { return pki::to_text(time); }

void show(const proof::VerifiedReceipt& verified) {
  const proof::Receipt& receipt = verified.receipt;
  Table table{{{"FIELD"}, {"VALUE"}}};
  table.add({"receipt", to_string(id_of(receipt))});
  table.add({"request", receipt.request_id});
  table.add({"tenant", receipt.tenant.str()});
  table.add({"served at", fmt::format("{} (grid {})", receipt.site.str(), receipt.grid)});
  table.add({"jurisdiction", receipt.jurisdiction.str()});
  table.add({"model", receipt.model.str()});
  table.add({"weights", receipt.model_digest ? to_hex(*receipt.model_digest) : "not known"});
  table.add({"policy", fmt::format("revision {}", receipt.policy_revision)});
  table.add({"outcome", std::string{to_string(receipt.outcome)}});
  table.add({"from, to", time_text(receipt.began) + ", " + time_text(receipt.ended)});
  table.add({"tokens", fmt::format("{} in ({} cached), {} out", receipt.usage.prompt_tokens,
                                   receipt.usage.cached_tokens, receipt.usage.completion_tokens)});
  table.add({"signed", fmt::format("{}, as leaf {} of {}", time_text(verified.head.time),
                                   receipt.leaf, verified.head.tree.leaves)});
  print(table);
}

Result<proof::VerifiedReceipt> verified_receipt(const ReceiptArguments& arguments) {
  PERIGEE_TRY(trust, trust_of(arguments.trust));
  PERIGEE_TRY(text, read_file(arguments.file));
  PERIGEE_TRY(evidence, proof::parse_receipt_evidence(text));
  PERIGEE_TRY(verified, proof::verify(evidence, *trust));
  PERIGEE_CHECK(check_hash(arguments.request, "request", verified.receipt.request));
  PERIGEE_CHECK(check_hash(arguments.response, "response", verified.receipt.response));
  return std::move(verified);
}

int verify_receipt(const ReceiptArguments& arguments) {
  const auto verified = verified_receipt(arguments);
  if (!verified) return report(verified.error());
  if (arguments.format == OutputFormat::Json) {
    print(boost::json::value{{"verified", true},
                             {"id", to_string(id_of(verified->receipt))},
                             {"receipt", receipt_text(verified->receipt)},
                             {"signed_us", verified->head.time.micros}});
    return kExitOk;
  }
  show(*verified);
  print_note("Verified: the receipt stands in the site's log, and the site signed it.");
  return kExitOk;
}

Result<proof::SignedHead> consistent_head(const ReceiptArguments& arguments) {
  PERIGEE_TRY(trust, trust_of(arguments.trust));
  PERIGEE_TRY(older, head_in(arguments.file));
  PERIGEE_TRY(text, read_file(arguments.newer));
  PERIGEE_TRY(newer, proof::parse_log_evidence(text));
  return proof::verify(older, newer, *trust);
}

int verify_consistency(const ReceiptArguments& arguments) {
  const auto head = consistent_head(arguments);
  if (!head) return report(head.error());
  if (arguments.format == OutputFormat::Json) {
    print(boost::json::value{
        {"verified", true}, {"origin", head->origin}, {"leaves", head->tree.leaves}});
    return kExitOk;
  }
  print(fmt::format("Verified: the log {} of {} receipts goes on from the older head.\n",
                    head->origin, head->tree.leaves));
  return kExitOk;
}

void add_trust_options(CLI::App& command, TrustOptions& trust) {
  auto* ca = command.add_option("--ca", trust.authorities,
                                "Certificates of the authorities that you trust (PEM)");
  command.add_option("--key", trust.key, "The site's public key, where it has no certificate")
      ->type_name("HEX")
      ->excludes(ca);
}

}  // namespace

void add_receipt_command(CLI::App& app, int& exit_code) {
  CLI::App* receipts = app.add_subcommand(
      "receipt", "Fetch and verify receipts: who ran a request, where, with what");
  receipts->require_subcommand(1);
  auto arguments = std::make_shared<ReceiptArguments>();

  CLI::App* get = receipts->add_subcommand("get", "Fetch a receipt with its proof, as JSON");
  get->add_option("ID", arguments->id, "As the answer named it: perigee-receipt")->required();
  add_site_options(*get, arguments->site);
  get->callback(
      [arguments, &exit_code] { exit_code = fetch(*arguments, "/v1/receipts/" + arguments->id); });

  CLI::App* verify = receipts->add_subcommand("verify", "Verify a receipt; needs no network");
  verify->add_option("FILE", arguments->file, "What `receipt get` printed; - for stdin")
      ->required();
  add_trust_options(*verify, arguments->trust);
  verify->add_option("--request", arguments->request, "Also that this was the request's body")
      ->type_name("FILE");
  verify->add_option("--response", arguments->response, "Also that this was the answer's body")
      ->type_name("FILE");
  add_output_option(*verify, arguments->format);
  verify->callback([arguments, &exit_code] { exit_code = verify_receipt(*arguments); });

  CLI::App* log = receipts->add_subcommand("log", "Fetch the newest head of a site's log, as JSON");
  log->add_option("SITE", arguments->id, "Whose log; default: of the site that is asked");
  log->add_option("--after", arguments->after,
                  "With the proof that it goes on from this file's head")
      ->type_name("FILE");
  add_site_options(*log, arguments->site);
  log->callback([arguments, &exit_code] { exit_code = fetch_log(*arguments); });

  CLI::App* consistency = receipts->add_subcommand(
      "consistency", "Verify that a log goes on from an older head; needs no network");
  consistency->add_option("OLDER", arguments->file, "A receipt, or what `receipt log` printed")
      ->required();
  consistency->add_option("NEWER", arguments->newer, "What `receipt log --after OLDER` printed")
      ->required();
  add_trust_options(*consistency, arguments->trust);
  add_output_option(*consistency, arguments->format);
  consistency->callback([arguments, &exit_code] { exit_code = verify_consistency(*arguments); });

  receipts->footer(
      "Exit status 0: verified. What a receipt is and shows: docs/receipts.md.\n"
      "Examples:\n"
      "  perigee receipt get metro-berlin.12345.9f860000 >receipt.json\n"
      "  perigee receipt verify receipt.json --ca ca.pem --request body.json\n"
      "  perigee receipt log --after receipt.json >log.json\n"
      "  perigee receipt consistency receipt.json log.json --ca ca.pem");
}

}  // namespace perigee::cli
