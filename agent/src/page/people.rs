//! The accounts of the site page, for its administrator.

use axum::extract::{Query, State};
use axum::response::Redirect;
use maud::{Markup, html};

use super::Page;
use super::accounts::{Account, Role, SHORTEST_PASSWORD};
use super::answer::Refusal;
use super::guard::Posted;
use super::session::Person;
use super::shell::{self, said, time, token};
use super::work::Done;

/// The page.
pub(super) async fn show(
    State(page): State<Page>,
    Query(done): Query<Done>,
    person: Person,
) -> Result<Markup, Refusal> {
    person.must_administer()?;
    let accounts = page.accounts.list().await?;
    let body = html! {
        h1 { "Accounts" }
        (said(&done))
        p.dim {
            "A radiographer decides about cases: releases, keeps back, adds what the reader should know, raises, recalls, prints. "
            "An administrator keeps these accounts, and may recall a study, end a wait and offer reports again."
        }
        div.scroll { table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Since" } th scope="col" { "Change" } } }
            tbody { @for account in &accounts { (one(&person, account)) } }
        } }
        section aria-labelledby="new" {
            h2 id="new" { "New account" }
            form.narrow method="post" action="/accounts" {
                (token(&person))
                label for="name" { "Name" }
                input id="name" name="name" required maxlength="40" pattern="[a-z0-9.\\-]+" autocapitalize="none" spellcheck="false" autocomplete="off"
                    title="lower-case letters, digits, dots and hyphens";
                label for="role" { "Role" }
                select id="role" name="role" {
                    option value=(Role::Radiographer) { "radiographer" }
                    option value=(Role::Administrator) { "administrator" }
                }
                label for="password" { "First password, at least " (SHORTEST_PASSWORD) " characters" }
                input id="password" name="password" type="password" required minlength=(SHORTEST_PASSWORD) autocomplete="new-password";
                div.buttons { button.primary { "Make the account" } }
            }
        }
    };
    Ok(shell::page(Some(&person), "/accounts", "Accounts", &body))
}

fn one(person: &Person, account: &Account) -> Markup {
    let mine = account.name == person.name;
    html! {
        tr {
            td { (account.name) @if mine { span.dim { " (you)" } } }
            td { (account.role) }
            td.when { (time(account.made)) }
            td {
                details {
                    summary { "Change" }
                    form.narrow method="post" action="/accounts/password" {
                        (token(person))
                        input type="hidden" name="name" value=(account.name);
                        label for={ "new-" (account.name) } { "New password" }
                        input id={ "new-" (account.name) } name="password" type="password" required minlength=(SHORTEST_PASSWORD) autocomplete="new-password";
                        div.buttons { button { "Change the password" } }
                    }
                    @if !mine {
                        form.narrow method="post" action="/accounts/remove" {
                            (token(person))
                            input type="hidden" name="name" value=(account.name);
                            div.buttons { button.danger { "Remove " (account.name) } }
                        }
                    }
                }
            }
        }
    }
}

/// Makes an account.
pub(super) async fn add(State(page): State<Page>, posted: Posted) -> Result<Redirect, Refusal> {
    posted.person.must_administer()?;
    let role: Role = match posted.get("role").parse() {
        Ok(role) => role,
        Err(sentence) => return Err(Refusal::wrong(format!("{sentence}."))),
    };
    let (name, password) = (posted.get("name"), posted.raw("password"));
    let by = posted.person.name.as_str();
    page.accounts.add(name, password, role, by).await?;
    told(&posted, "add");
    Ok(Redirect::to("/accounts?said=account-made"))
}

/// Gives somebody another password. One's own ends this session too.
pub(super) async fn password(
    State(page): State<Page>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    posted.person.must_administer()?;
    let (name, password) = (posted.get("name"), posted.raw("password"));
    let by = posted.person.name.as_str();
    page.accounts.set_password(name, password, by).await?;
    told(&posted, "password");
    Ok(Redirect::to("/accounts?said=account-changed"))
}

/// Removes an account; nobody removes the own one, so that one administrator stays.
pub(super) async fn remove(State(page): State<Page>, posted: Posted) -> Result<Redirect, Refusal> {
    posted.person.must_administer()?;
    let name = posted.get("name");
    if name == posted.person.name {
        return Err(Refusal::changed(
            "You cannot remove your own account: another administrator can.",
        ));
    }
    page.accounts.remove(name, &posted.person.name).await?;
    told(&posted, "remove");
    Ok(Redirect::to("/accounts?said=account-removed"))
}

fn told(posted: &Posted, what: &'static str) {
    tracing::info!(who = %posted.person.name, what, "an account of the site page was changed");
}
