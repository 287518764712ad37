#include "cli/completion.h"

#include <fmt/format.h>

#include <vector>

namespace perigee::cli {
namespace {

struct Word {
  std::string text;  // "status", "--output"
  std::string description;
  bool option = false;
};

// One command with what may follow it: its subcommands and options.
struct Node {
  std::string path;  // "perigee route"
  std::vector<Word> words;
};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

void collect(const CLI::App& app, const std::string& path, std::vector<Node>& nodes) {
  Node node{path, {}};
  std::vector<std::pair<const CLI::App*, std::string>> below;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_name().empty() || sub->get_group().empty()) continue;
    node.words.push_back({sub->get_name(), first_line(sub->get_description()), false});
    below.emplace_back(sub, path + " " + sub->get_name());
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    const std::string description = first_line(option->get_description());
    for (const std::string& name : option->get_lnames()) {
      node.words.push_back({"--" + name, description, true});
    }
    for (const std::string& name : option->get_snames()) {
      node.words.push_back({"-" + name, description, true});
    }
  }
  nodes.push_back(std::move(node));
  for (const auto& [sub, name] : below) collect(*sub, name, nodes);
}

// Inside single quotes of any of the three shells.
std::string quoted(const std::string& text, Shell shell) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += shell == Shell::Fish ? "\\'" : "'\\''";
    else if (c == '\\' && shell == Shell::Fish)
      out += "\\\\";
    else
      out += c;
  }
  return out + "'";
}

// The body of a loop over the words before the cursor: those that are no options name the command.
std::string find_path(const std::vector<Node>& nodes) {
  std::string paths;
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    paths += (i > 1 ? "|" : "") + fmt::format("\"{}\"", nodes[i].path);
  }
  return "    case \"$path $word\" in\n      " + paths +
         ") path=\"$path $word\" ;;\n    esac\n  done\n";
}

std::string bash_script(const std::vector<Node>& nodes) {
  std::string script =
      "# perigee completion for bash: source it, or put it in "
      "/etc/bash_completion.d/perigee\n"
      "_perigee() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" path=perigee word words\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n";
  script += find_path(nodes) + "  case \"$path\" in\n";
  for (const Node& node : nodes) {
    std::string words;
    for (const Word& word : node.words) words += (words.empty() ? "" : " ") + word.text;
    script += fmt::format("    \"{}\") words='{}' ;;\n", node.path, words);
  }
  script +=
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}\n"
      "complete -o default -F _perigee perigee\n";
  return script;
}

std::string zsh_script(const std::vector<Node>& nodes) {
  std::string script =
      "#compdef perigee\n"
      "# perigee completion for zsh: put it as _perigee in a folder of $fpath\n"
      "_perigee() {\n"
      "  local path=perigee word\n  local -a candidates\n"
      "  for word in \"${words[@]:1:CURRENT-2}\"; do\n";
  script += find_path(nodes) + "  case \"$path\" in\n";
  for (const Node& node : nodes) {
    script += fmt::format("    \"{}\") candidates=(\n", node.path);
    for (const Word& word : node.words) {
      script += "      " + quoted(word.text + ":" + word.description, Shell::Zsh) + "\n";
    }
    script += "    ) ;;\n";
  }
  script += "  esac\n  _describe perigee candidates || _files\n}\ncompdef _perigee perigee\n";
  return script;
}

std::string fish_condition(const std::string& path, const std::vector<Word>& words) {
  std::string condition;
  std::size_t from = path.find(' ');
  while (from != std::string::npos) {
    const std::size_t to = path.find(' ', from + 1);
    condition += (condition.empty() ? "" : "; and ") + std::string{"__fish_seen_subcommand_from "} +
                 path.substr(from + 1, to - from - 1);
    from = to;
  }
  std::string below;
  for (const Word& word : words) {
    if (!word.option) below += " " + word.text;
  }
  if (!below.empty()) {
    condition += (condition.empty() ? "" : "; and ") +
                 std::string{"not __fish_seen_subcommand_from"} + below;
  }
  return condition;
}

std::string fish_script(const std::vector<Node>& nodes) {
  std::string script =
      "# perigee completion for fish: put it in ~/.config/fish/completions/perigee.fish\n";
  for (const Node& node : nodes) {
    const std::string condition = quoted(fish_condition(node.path, node.words), Shell::Fish);
    for (const Word& word : node.words) {
      std::string what = "-f -a " + word.text;
      if (word.option) {
        what =
            word.text.starts_with("--") ? "-l " + word.text.substr(2) : "-s " + word.text.substr(1);
      }
      script += fmt::format("complete -c perigee -n {} {} -d {}\n", condition, what,
                            quoted(word.description, Shell::Fish));
    }
  }
  return script;
}

}  // namespace

std::string completion_script(const CLI::App& app, Shell shell) {
  std::vector<Node> nodes;
  collect(app, "perigee", nodes);
  switch (shell) {
    case Shell::Bash: return bash_script(nodes);
    case Shell::Zsh: return zsh_script(nodes);
    case Shell::Fish: return fish_script(nodes);
  }
  return {};
}

}  // namespace perigee::cli
