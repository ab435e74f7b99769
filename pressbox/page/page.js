"use strict";
// The page reads just as well without this script, which makes its buttons work and adds no content.
(() => {
	const root = document.documentElement;
	const KEY = "pressbox-theme";
	const system = matchMedia("(prefers-color-scheme: dark)");

	// A browser may deny storage to a file; the choice then lasts as long as the page.
	const storage = (action) => {
		try {
			return action(localStorage);
		} catch {
			return null;
		}
	};

	const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

	const setUpTheme = () => {
		const button = document.getElementById("theme");
		const show = () => button.setAttribute("aria-pressed", String(isDark()));
		button.addEventListener("click", () => {
			root.dataset.theme = isDark() ? "light" : "dark";
			storage((store) => store.setItem(KEY, root.dataset.theme));
			show();
		});
		system.addEventListener("change", show);
		show();
	};

	const say = (line) => {
		document.getElementById("said").textContent = line;
	};

	const copy = async (button) => {
		const value = document.getElementById(button.dataset.copies);
		let answer = "Copied";
		try {
			await navigator.clipboard.writeText(value.textContent);
		} catch {
			// Not every browser lets a file write to the clipboard: select the value, one key press from it.
			getSelection().selectAllChildren(value);
			answer = "Selected";
		}
		button.textContent = answer;
		say(answer);
		setTimeout(() => {
			button.textContent = "Copy";
			say("");
		}, 2000);
	};

	const valueOf = (row, column) => {
		const cell = row.cells[column];
		return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
	};

	const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));

	const sort = (table, header) => {
		const falling = header.getAttribute("aria-sort") === "ascending";
		for (const other of table.tHead.rows[0].cells) {
			other.removeAttribute("aria-sort");
		}
		header.setAttribute("aria-sort", falling ? "descending" : "ascending");
		const column = header.cellIndex;
		const rows = [...table.tBodies[0].rows].sort(
			(a, b) => compare(valueOf(a, column), valueOf(b, column)) * (falling ? -1 : 1),
		);
		table.tBodies[0].append(...rows);
	};

	const setUpSorting = (table) => {
		for (const header of table.tHead.rows[0].cells) {
			const button = document.createElement("button");
			button.type = "button";
			button.textContent = header.textContent;
			button.addEventListener("click", () => sort(table, header));
			header.replaceChildren(button);
		}
	};

	// Tell the style sheet at which sides of the box there is more to see.
	const setUpScrolling = (box) => {
		const show = () => {
			const left = Math.round(box.scrollLeft);
			const hidden = box.scrollWidth - box.clientWidth;
			box.classList.toggle("before", left > 0);
			box.classList.toggle("after", left < hidden - 1);
		};
		box.addEventListener("scroll", show, { passive: true });
		new ResizeObserver(show).observe(box);
		show();
	};

	const theme = storage((store) => store.getItem(KEY));
	if (theme === "light" || theme === "dark") {
		root.dataset.theme = theme;
	}
	root.classList.add("scripted");
	addEventListener("DOMContentLoaded", () => {
		setUpTheme();
		for (const button of document.querySelectorAll("[data-copies]")) {
			button.addEventListener("click", () => copy(button));
		}
		document.querySelectorAll("table.sortable").forEach(setUpSorting);
		document.querySelectorAll(".wide").forEach(setUpScrolling);
	});
})();
