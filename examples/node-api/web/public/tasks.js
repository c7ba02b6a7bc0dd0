const list = document.querySelector("ul");
const form = document.querySelector("form");

async function call(path, method = "GET", body = undefined) {
  const headers = body && { "content-type": "application/json" };
  const answer = await fetch(`api/${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
  return answer.json();
}

function row(task) {
  const item = document.createElement("li");
  const label = item.appendChild(document.createElement("label"));
  const box = label.appendChild(document.createElement("input"));
  box.type = "checkbox";
  box.checked = task.done;
  label.classList.toggle("done", task.done);
  label.append(` ${task.title}`);
  box.addEventListener("change", async () => {
    await call(`tasks/${task.id}`, "PATCH", { done: box.checked });
    await show();
  });
  return item;
}

async function show() {
  list.replaceChildren(...(await call("tasks")).map(row));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await call("tasks", "POST", { title: form.elements.title.value });
  form.reset();
  await show();
});

await show();
